# SPDX-License-Identifier: Apache-2.0
"""How a machine ends and starts again: power-off, reset, panic, triple fault, signals."""
from nest.lab import Only


def reboots(count):
    def check(r):
        r.exits(0)
        r.require(len(r.steps("up")) == count + 1, f"{len(r.steps('up'))} starts, expected {count + 1}")
    return check


def reboot_script(lab, guest):
    """One process, three resets in place. The first start hears of disks, and has none."""
    turns = ["kill -USR1 $p; kill -USR1 $p; sleep 1; echo reboot", "echo reboot", "echo reboot",
             "echo button,off", "kill -TERM $p"]  # step button says that it is ready, too
    return lab.talk(guest, *(("^@test ready", turn) for turn in turns))


def ends(code, *said):
    def check(r):
        r.exits(code)
        for pattern in said:
            r.prints(pattern, "err")
    return check


def reboots_and_powers_off(r):
    reboots(3)(r)
    r.step("button")
    r.require(not r.err, f"stderr has {r.err[:300]!r}")


def in_file(r):
    """The guest's console is a file, and nothing else has it."""
    r.exits(3)
    r.says_nothing("@test")
    r.prints("^@test cpus count=1", "console")


BUTTON = Only("x86_64", "Debian's cloud kernel for arm64 has no driver for the button")
FAULT = Only("x86_64", "no other CPU has triple faults")
PANIC = "Kernel panic - not syncing: sysrq triggered crash"


def button(lab):
    guest = lab.vmm("--initramfs", lab.modules("button", "evdev"), steps="ask")
    lab.case("reboot-and-power-button", reboot_script(lab, guest), reboots_and_powers_off, limit=180)


def triple_fault(lab):
    lab.case("triple-fault", lab.vmm(steps="reboot", append="quiet reboot=t"), ends(5, "(?i)triple fault"))
    lab.case("triple-fault-reset", lab.talk(lab.vmm("--on-crash", "reset", steps="ask", append="quiet reboot=t"),
                                            ("^@test ready", "echo reboot"), ("^@test ready", "echo off")),
             reboots(1), limit=120)


def cases(lab):
    lab.only(BUTTON, button, "reboot-and-power-button")
    if lab.arch != BUTTON.arch:
        lab.case("reboot", lab.talk(lab.vmm(steps="ask"), ("^@test ready", "echo reboot"), ("^@test ready", "echo off")),
                 reboots(1), limit=120)
    lab.case("on-reset-exit", lab.vmm("--on-reset", "exit", "--serial", "file=$O/console", steps="cpus,reboot"), in_file)
    # A panic with panic=-1 is a reset; the user is told what the kernel said last.
    lab.case("panic", lab.vmm("--on-reset", "exit", steps="panic"), ends(3, PANIC))
    lab.only(FAULT, triple_fault, "triple-fault", "triple-fault-reset")
    # Nobody in the guest listens to the button: the second signal ends it, unless it came too soon to be another.
    for name, signal in ("TERM", 15), ("HUP", 1):
        end = f"while kill -{name} $p; do sleep 1; done 2>/dev/null; wait $p"
        lab.case({"TERM": "sigterm-twice", "HUP": "sighup"}[name],
                 lab.talk(lab.vmm(steps="ask"), ("^@test ready", "true"), end=end), ends(128 + signal))
