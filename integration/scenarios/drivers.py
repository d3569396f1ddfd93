# SPDX-License-Identifier: Apache-2.0
"""Drivers that are not Linux's, in a guest that has no operating system: see images/drivers/src/main.rs."""
from images import catalog
from nest.lab import Only, around, command

PC = Only("x86_64", "this guest starts as a PVH kernel")
ALL_GOOD = 40  # images/drivers/src/main.rs
ROUNDS = (1, 2)
SECTOR = 512
MIB = 1 << 20
TAP = """until ifconfig tap0 10.77.0.1 netmask 255.255.255.0 up 2>/dev/null; do sleep 0.3; done"""


def check(r):
    r.exits(ALL_GOOD)
    for round_ in ROUNDS:
        def saw(step, **wanted):
            found = next((line for line in r.steps(step) if line.get("round") == str(round_)), None)
            r.require(found is not None, f"round {round_} has no line for {step}")
            for key, value in wanted.items():
                r.require(found.get(key) == str(value), f"round {round_}, {step}: {key}={found.get(key)}, expected {value}")
        saw("blk", sectors=2 * MIB // SECTOR, ro="false", id="for-drivers", sum=7 * SECTOR, same="true")
        saw("beyond", refused="true")
        saw("rng", bytes=64, differ="true")
        saw("console")
        saw("net", mac="3456", host="true", echoed=1000)
        saw("drivers", devices=4)
    r.require(r.text("hvc") == "one byte at a time\na line at once\n" * len(ROUNDS), f"the console has {r.text('hvc')[:200]!r}")
    # What is on the disk in the end is what the second round wrote.
    written = bytes((i * 7 + ROUNDS[-1]) % 256 for i in range(SECTOR)).hex()
    r.says("sector", hex=written)
    r.require(r.err == "", f"stderr has {r.err[:400]!r}")


def case(lab, name, ring):
    """All bytes of the disk are 7 at first."""
    guest = command(lab.program(lab.program_path, "vmm"), "run", "--kernel", lab.put(catalog.drivers(), "drivers"),
                    "--memory", "64M", "--virtio-notify", "mmio", "--disk", f"path=disk,serial=for-drivers,{ring}",
                    "--net", f"tap=tap0,mac=52:54:00:12:34:56,{ring}", "--rng", ring,
                    "--console", f"file=$O/hvc,{ring}", "--debug-exit", "0xf4")
    before = f"head -c {2 * MIB} /dev/zero | tr '\\0' '\\7' >disk; tunctl -t tap0 >/dev/null\n{TAP}"
    after = f"""echo "@test sector hex=$(dd if=disk bs={SECTOR} skip=9 count=1 2>/dev/null | hexdump -ve '1/1 "%02x"')"
tunctl -d tap0 >/dev/null"""
    lab.case(name, around(before, guest, after), check, root=True, limit=60)


def cases(lab):
    lab.only(PC, lambda lab: case(lab, "virtio-drivers", "packed=on"), "virtio-drivers")
