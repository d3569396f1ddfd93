# SPDX-License-Identifier: Apache-2.0
"""The guest that breaks the specification on purpose (tests/hostile), on a processor that this machine does not have.

On x86_64 tests/hostile/hostile.py runs it, with all devices, and looks at the VMM meanwhile. Here the guest's own verdict
counts, the disks, and what the VMM has to say. Left out are network devices: their cases want a tap whose other end sends
back what it gets.
"""
import re
import struct

from images import debian
from nest.lab import Only, command

ARM = Only("aarch64", "on x86_64 ctest runs the same guest on the host itself: tests/hostile")
# Cases of each kind at least. The machine is reset in a round of its own each time.
KINDS = {"pc": 30, "blk": 530, "readonly": 11, "rng": 400, "console": 405, "reset": 31}
SLOW = {"ports": 420}  # with three CPUs on an emulated one
ALL = {**KINDS, **SLOW}
UNDECODABLE = ("pair", "pair_written", "write_back", "exclusive", "vector", "zeroed_line")  # guest/aarch64/undecodable.cpp
NOT_DECODED = (r"^vmm: vCPU 0: the guest touched 0x[0-9a-f]+, which is no memory, "
               r"with an instruction that KVM does not decode at 0x[0-9a-f]+$")
GUEST_FAILED = 5  # exit code
ALL_GOOD = 40  # the guest's exit code
SECTOR, SECTORS, KEPT = 512, 16384, 64
MOST_LOG_LINES = 12
DISK, READONLY = "hostile-disk.img", "hostile-readonly.img"


def sectors(first):
    """Sector N is full of the byte N % 256."""
    return b"".join(bytes([number % 256]) * SECTOR for number in range(first, SECTORS))


def other_format(backing):
    """A sector that begins like a qcow2 image of 1 TiB, version 3, with that backing file."""
    name = backing.encode()
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 104, len(name), 16, 1 << 40).ljust(100, b"\0") + struct.pack(">I", 104)
    return (header + name).ljust(SECTOR, b"\0")


def guest(lab):
    """The ELF file that was built beside the program."""
    path = lab.program_path.parent.parent / "tests" / "hostile" / "hostile.elf"
    if not path.is_file():
        raise debian.Missing(f"{path} is not there: build it first (target vmm_hostile_guest)")
    return lab.put(path)


def disks(lab):
    for name, content in ((DISK, sectors(0)), (READONLY, other_format("disk.img") + sectors(1))):
        path = lab.make(name)
        path.write_bytes(content)
        yield lab.put(path)


def policies(kind):
    if kind == "reset":
        return "--on-reset", "reset", "--on-crash", "reset"
    return "--on-panic", "continue", "--on-reset", "exit"


def undecodable(lab):
    """Accesses of a device that KVM cannot carry out: each ends the VMM, with a reason."""
    run = command(lab.program(lab.program_path, "vmm"), "run", "--kernel", guest(lab), "--memory", "128M", "--rng",
                  "--debug-exit", "0x0a000000", "--cmd-line")
    return "\n".join(f"{run} 'device=undecodable only={name}' </dev/null; echo ended {name} $?" for name in UNDECODABLE)


def ended(r):
    for name in UNDECODABLE:
        r.prints_once(rf"^ended {name} {GUEST_FAILED}$")
    found = re.findall(NOT_DECODED, r.err, re.M)
    r.require(len(found) == len(UNDECODABLE) == len(r.err.splitlines()), f"stderr has {r.err[:2000]!r}")


def script(lab, kind):
    """It waits for a byte whenever the host may look at the VMM."""
    writable, readonly = disks(lab)
    run = command(lab.program(lab.program_path, "vmm"), "run", "--kernel", guest(lab), "--memory", "1G,shared=on",
                  "--num-cpu", 3, "--disk", "path=disk.img,serial=hostile,num_queues=2", "--disk",
                  "path=readonly.img,readonly=on", "--rng", "--console", "null", "--console-port", "name=agent,null",
                  "--console-port", "name=log,null", "--pvpanic", *policies(kind), "--debug-exit", "0x0a000000",
                  "--cmd-line", f"device={kind} rounds=1")
    return f"""cp "{writable}" disk.img; cp "{readonly}" readonly.img
yes n 2>/dev/null | {run}
code=$?
cmp -n {KEPT * SECTOR} disk.img "{writable}" && cmp readonly.img "{readonly}" || echo changed > $O/disks
[ "$(stat -c %s disk.img)" = {SECTOR * SECTORS} ] || echo another size > $O/disks
exit $code"""


def check(cases):
    def judge(r):
        r.says_nothing(r"^case \S+ FAIL .*$")
        r.exits(ALL_GOOD)
        r.says_nothing(r".+", "disks")
        run = re.findall(r"^case (\S+) ok$", r.out, re.M)
        r.require(len(run) >= cases, f"only {len(run)} cases were run, at least {cases} were promised")
        log = r.err.splitlines()
        r.require(len(log) <= MOST_LOG_LINES, f"{len(log)} log lines, at most {MOST_LOG_LINES} are all right")
    return judge


def runs(lab):
    for kind, least in ALL.items():
        lab.case(kind, script(lab, kind), check(least), limit=900 if kind in SLOW else 400)
    lab.case("undecodable", undecodable(lab), ended)


def cases(lab):
    lab.only(ARM, runs, *ALL, "undecodable")
