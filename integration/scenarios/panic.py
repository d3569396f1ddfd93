# SPDX-License-Identifier: Apache-2.0
"""A guest that panics and says so through pvpanic, and what may follow."""
from images import catalog, cpio
from nest.lab import Only

DRIVER = Only("x86_64", "Debian's cloud kernel for arm64 has no driver for pvpanic")
PANIC = "Kernel panic - not syncing: sysrq triggered crash"
PAUSED = "the guest's kernel panicked: paused, as --on-panic says"


def guest(lab, *extra, **options):
    return lab.vmm("--pvpanic", *extra, modules=("pvpanic-pci",), **options)


def ends(code, panics=1):
    def check(r):
        r.exits(code)
        r.require(len(r.steps("panic")) == panics, f"{len(r.steps('panic'))} panics, expected {panics}")
        r.prints_once(PANIC, "err")
    return check


def starts_again(r):
    r.exits(0)
    r.require(len(r.steps("up")) == 2, f"{len(r.steps('up'))} starts, expected 2")
    r.prints_once(PANIC)
    r.says("pcicheck", functions=2, odd=0)


def paused(r):
    """It takes no time of the CPU any more, and can be ended."""
    r.exits(128 + 15)
    r.says_nothing("^@test (up.*\n(.*\n)*)@test up")
    before, after = (int(r.step("ticks", at)["count"]) for at in ("before", "after"))
    r.require(0 <= after - before <= 20, f"it took {after - before} ticks of the CPU in 2 s while paused")
    r.says("alive", state="yes")
    r.prints_once(PAUSED, "err")


def carried_on(r):
    """The crashed kernel's own panic code calls pvpanic, and then the crash kernel; it is the same machine."""
    r.exits(0)
    r.says("crashkernel", loaded=1)
    r.require(len(r.steps("up")) == 2, f"{len(r.steps('up'))} kernels came up, expected 2")
    r.prints_once(PANIC)
    r.says("cpus", count=1)
    r.step("off")
    r.prints_once(r"\[warning\] the guest's kernel crashed and hands over to its crash kernel", "err")


def crash_files(lab):
    path = lab.make("crash-kernel.cpio")
    with cpio.Archive(path) as archive:
        archive.file("boot/vmlinuz", catalog.kernel("6.12"))
        archive.file("boot/initrd", catalog.uroot())
    return lab.put(path)


TICKS = "ticks() { echo \"@test ticks at=$1 count=$(cut -d' ' -f14 /proc/$p/stat)\"; }"


def crash_kernel(r):
    """However often it is said: one line, and the guest goes on."""
    r.exits(0)
    r.step("off")
    r.says("pvpanic", "2", times=10000, known=7)
    r.says("pcicheck", functions=2)
    r.prints_once(r"\[warning\] the guest's kernel crashed and hands over to its crash kernel", "err")
    r.require(len(r.err.splitlines()) == 1, f"stderr has {r.err[:600]!r}")


def with_a_driver(lab):
    # The guest does not start again by itself: what follows is the VMM's doing.
    stays = "quiet panic=0"
    lab.case("exit", guest(lab, steps="panic", append=stays), ends(4))
    lab.case("reset", lab.talk(guest(lab, "--on-panic", "reset", steps="ask", append=stays),
                               ("^@test ready", "echo panic"), ("^@test ready", "echo pcicheck,off")), starts_again)
    # The guest goes on, to its own reset.
    lab.case("continue", guest(lab, "--on-panic", "continue", "--on-reset", "exit", steps="panic"), ends(3))
    pause = guest(lab, "--on-panic", "pause", steps="ask")
    # The kernel says that it panics long before it says so to pvpanic: a trace on a serial port lies between.
    end = f"""until grep -q "{PAUSED}" $O/err || ! kill -0 $p; do sleep 0.2; done
sleep 1; ticks before; sleep 2; ticks after
kill -USR1 $p; sleep 1; kill -0 $p && echo "@test alive state=yes"
kill -TERM $p; wait $p"""
    lab.case("kexec", guest(lab, "--initramfs", crash_files(lab), steps="crashkernel:cpus+off,panic", memory="640M",
                            append="quiet crashkernel=256M crash_kexec_post_notifiers=1"), carried_on)
    lab.case("pause", TICKS + "\n" + lab.talk(pause, ("^@test ready", "echo panic"), end=end), paused)


def cases(lab):
    # As a kernel does that has a crash kernel loaded (kexec -p); here without a crash, and without a driver.
    lab.case("crash-loaded", lab.vmm("--pvpanic", steps="pvpanic:2:10000,pcicheck,off"), crash_kernel)
    lab.only(DRIVER, with_a_driver, "exit", "reset", "continue", "kexec", "pause")
