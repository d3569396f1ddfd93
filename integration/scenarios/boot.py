# SPDX-License-Identifier: Apache-2.0
"""Stock Debian kernels, as Debian has them and as the ELF file inside, to the first program of the guest."""
import gzip

from images import cpio
from nest.case import COMPLAINT
from nest.lab import Only


# The kernel's own log goes on to the end: whatever damages a kernel that was placed in memory, its log feels it early.
LAST_WORDS = "reboot: Power down"


CLOCKS = {"x86_64": "kvm-clock", "aarch64": "arch_sys_counter"}
LEAST_KIB = {"x86_64": 200_000, "aarch64": 190_000}  # of 256 MiB: an Image keeps more of itself
OLDEST = {"x86_64": ("deb61", "6.1"), "aarch64": ("deb612", "6.12")}
PACKED = Only("x86_64", "on arm64 Debian's kernels are Images, and nothing is to be unpacked")


def all_well(arch):
    def check(r):
        r.exits(0)
        r.prints(LAST_WORDS)
        r.prints("Welcome to u-root!")
        r.says("cpus", count=1, online=0)
        r.number("memory", "kib", least=LEAST_KIB[arch], most=256 << 10)
        r.says("clock", source=CLOCKS[arch])
        r.number("clock", "slept_ms", least=1000, most=3000)
        r.number("clock", "wall_ms", least=1000, most=3000)
        now = r.number("date", "unix", least=1_700_000_000)
        rtc = r.number("date", "rtc")
        r.require(abs(now - rtc) <= 2, f"the machine's clock says {rtc}, the system {now}")
        r.says_nothing(COMPLAINT)
    return check


def boots(kernel):
    def check(r):
        r.exits(0)
        r.prints(LAST_WORDS)
        r.says("cpus", count=1)
        r.require(r.step("up")["kernel"].startswith(kernel), f"kernel {r.step('up')['kernel']}, expected {kernel}")
    return check


def archives_join(series):
    def check(r):
        boots(series)(r)
        r.says("file", bytes=len(TEXT))
    return check


TEXT = "from the second archive\n"


def second_archive(lab):
    """Compressed, which the kernel unpacks: archives of both kinds may follow each other."""
    plain = lab.make("second.cpio")
    with cpio.Archive(plain) as archive:
        archive.text("extra", TEXT)
    packed = lab.make("second.cpio.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    return lab.put(packed)


def packed(lab):
    lab.case("elf61", lab.vmm(kernel="elf61", steps="cpus,off"), boots("6.1"))
    # The bzImage as it is, unpacked by itself in the guest.
    lab.case("deb612-as-it-is", lab.vmm("--unpack", "off", kernel="deb612", steps="cpus,off"), boots("6.12"))


def cases(lab):
    lab.case("deb612", lab.vmm(kernel="deb612", steps="cpus,memory,clock,date,kmsg:3,off"), all_well(lab.arch))
    # The end of input is not the end of the guest.
    lab.case("stdin-closed", lab.vmm(steps="cpus,off") + " <&-", boots("6.12"))
    lab.only(PACKED, packed, "elf61", "deb612-as-it-is")
    oldest, series = OLDEST[lab.arch]
    lab.case("two-archives", lab.vmm("--initramfs", second_archive(lab), kernel=oldest, steps="cpus,file:extra,off"),
             archives_join(series))
