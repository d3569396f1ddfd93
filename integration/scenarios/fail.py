# SPDX-License-Identifier: Apache-2.0
"""A failing host: the guest gets the error that the specification has for it, a line says why, all else goes on."""
from nest.lab import TOOLS, around

SECTORS = 16384
SETUP = f"""for f in shrinks removed flaky late healthy; do truncate -s 8M $f; done
mkdir small; mount -t tmpfs -o size=1M tmpfs small; truncate -s 8M small/full
dmsetup() {{ "$T/dmsetup" --noudevsync --noudevrules "$@"; }}
map() {{ attach $1-loop $1; dmsetup create $1 --table "0 {SECTORS} linear $(readlink $1-loop) 0" &&
    ln -s /dev/dm-$(dmsetup info -c --noheadings -o minor $1) $1-dm; }}
load() {{ for d in flaky late; do
    dmsetup suspend $d; dmsetup load $d --table "0 {SECTORS} $1 $(readlink $d-loop) 0 $2"; dmsetup resume $d
done; }}
fail() {{ for d in flaky late; do
    dmsetup suspend $d; dmsetup load $d --table "0 {SECTORS} error"; dmsetup resume $d
done; }}
map flaky; map late"""
TEARDOWN = """for d in flaky late; do dmsetup remove $d; losetup -d $(readlink $d-loop); done
umount small
host healthy healthy 0 2"""

DISKS = {"vda": "shrinks", "vdb": "small/full", "vdc": "removed", "vdd": "flaky-dm,direct=on",
         "vde": "late-dm", "vdf": "healthy"}


def reads(disk, *places):
    return ",".join(f"try:{disk}:0:{kib}" for kib in places)


def writes(disk, *places):
    """And makes each stable."""
    return ",".join(f"try:{disk}:2:{kib}" for kib in places)


# What happens on the host, and what the guest does then.
ACTS = (
    ("", ",".join(reads(disk, 4096) for disk in DISKS)),
    ("truncate -s 1M shrinks; rm removed; dd if=/dev/zero of=small/other bs=4k; load flakey '0 10 1 error_writes'",
     ",".join((reads("vda", 4096, 4100, 0), writes("vda", 0), reads("vdb", 0), writes("vdb", 0, 8), reads("vdb", 4096),
               writes("vdc", 4096), reads("vdc", 4096), reads("vdd", 4096), writes("vdd", 4096), writes("vde", 4096),
               "fill:vdf:0:2:5"))),
    ("fail", f"{reads('vdd', 4096)},{reads('vde', 2048)}"),
    ("load linear", f"{reads('vdd', 4096)},{writes('vdd', 4096)},{reads('vde', 2048)},{writes('vde', 2048)},off"),
)

EXPECTED = {
    "vda": "read 4096 ok, read 4096 EIO, read 4100 EIO, read 0 ok, write 0 ok",
    "vdb": "read 4096 ok, read 0 ok, write 0 EIO, write 8 EIO, read 4096 ok",
    "vdc": "read 4096 ok, write 4096 ok, read 4096 ok",
    # Past the host's cache: what fails is the write.
    "vdd": "read 4096 ok, read 4096 ok, write 4096 EIO, read 4096 EIO, read 4096 ok, write 4096 ok",
    # Through the host's cache: what fails is the flush. What was to become stable is lost, so none succeeds after it.
    "vde": "read 4096 ok, write 4096 EIO, read 2048 EIO, read 2048 ok, write 2048 EIO",
    "vdf": "read 4096 ok",
}
LINES = ("disk0 .*read", "disk1 .*write.*No space left", "disk3 .*write", "disk3 .*read", "disk4 .*flush",
         "disk4 .*read")


def check(r):
    r.exits(0)
    for disk, expected in EXPECTED.items():
        seen = ", ".join(f"{line['what']} {line['kib']} {line['result']}" for line in r.steps("try")
                         if line.get("at") == disk)
        r.require(seen == expected, f"{disk}: {seen}; expected {expected}")
    r.says("fill", "vdf", sha256=r.step("host", "healthy")["sha256"])
    for line in LINES:
        r.prints_once(line, "err")
    r.require(len(r.err.splitlines()) == len(LINES), f"stderr has {r.err[:600]!r}")


def disks(lab):
    lab.tool("dmsetup")
    guest = lab.vmm(modules=("virtio_blk",), disks=DISKS.values(), steps="ask")
    talk = lab.talk(guest, *(("^@test ready", f"{{ {act or ':'}; }} >>$O/host 2>&1; echo {steps}")
                             for act, steps in ACTS))
    lab.case("disks", around(SETUP, talk, TEARDOWN), check, root=True)


def cases(lab):
    lab.only(TOOLS, disks, "disks")
