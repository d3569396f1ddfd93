# SPDX-License-Identifier: Apache-2.0
"""Stock Debian kernels, as bzImage and as the ELF file inside, to the first program of the guest."""
import gzip

from images import cpio
from nest.case import COMPLAINT


# The kernel's own log goes on to the end: whatever damages a kernel that was placed in memory, its log feels it early.
LAST_WORDS = "reboot: Power down"


def all_well(r):
    r.exits(0)
    r.prints(LAST_WORDS)
    r.prints("Welcome to u-root!")
    r.says("cpus", count=1, online=0)
    r.number("memory", "kib", least=200_000, most=256 << 10)
    r.says("clock", source="kvm-clock")
    r.number("clock", "slept_ms", least=1000, most=3000)
    r.number("clock", "wall_ms", least=1000, most=3000)
    now = r.number("date", "unix", least=1_700_000_000)
    rtc = r.number("date", "rtc")
    r.require(abs(now - rtc) <= 2, f"the CMOS clock says {rtc}, the system {now}")
    r.says_nothing(COMPLAINT)


def boots(kernel):
    def check(r):
        r.exits(0)
        r.prints(LAST_WORDS)
        r.says("cpus", count=1)
        r.require(r.step("up")["kernel"].startswith(kernel), f"kernel {r.step('up')['kernel']}, expected {kernel}")
    return check


def archives_join(r):
    boots("6.1")(r)
    r.says("file", bytes=len(TEXT))


TEXT = "from the second archive\n"


def second_archive(lab):
    """Compressed, which the kernel unpacks: archives of both kinds may follow each other."""
    plain = lab.make("second.cpio")
    with cpio.Archive(plain) as archive:
        archive.text("extra", TEXT)
    packed = lab.make("second.cpio.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    return lab.put(packed)


def cases(lab):
    lab.case("bz612", lab.vmm(kernel="bz612", steps="cpus,memory,clock,date,kmsg:3,off"), all_well)
    # The end of input is not the end of the guest.
    lab.case("elf612-stdin-closed", lab.vmm(kernel="elf612", steps="cpus,off") + " <&-", boots("6.12"))
    lab.case("elf61", lab.vmm(kernel="elf61", steps="cpus,off"), boots("6.1"))
    # The bzImage as it is, unpacked by itself in the guest.
    lab.case("bz612-as-it-is", lab.vmm("--unpack", "off", kernel="bz612", steps="cpus,off"), boots("6.12"))
    lab.case("bz61-two-archives", lab.vmm("--initramfs", second_archive(lab), kernel="bz61", steps="cpus,file:extra,off"),
             archives_join)
