"""How a machine ends and starts again: power-off, reset, panic, triple fault, signals."""


def reboots(count):
    def check(r):
        r.exits(0)
        r.require(len(r.steps("up")) == count + 1, f"{len(r.steps('up'))} starts, expected {count + 1}")
    return check


def reboot_script(lab, count, guest):
    """One process: the guest is told to reboot so many times, then to power off."""
    turns = [("^@test ready", "echo reboot")] * count
    return lab.talk(guest, *turns, ("^@test ready", "echo off"))


def ends(code, *said):
    def check(r):
        r.exits(code)
        for pattern in said:
            r.prints(pattern, "err")
    return check


def powered_off_by_button(r):
    r.exits(0)
    r.step("button")


PANIC = "Kernel panic - not syncing: sysrq triggered crash"


def cases(lab):
    lab.case("reboot", reboot_script(lab, 3, lab.vmm(steps="ask")), reboots(3), limit=180)
    lab.case("on-reset-exit", lab.vmm("--on-reset", "exit", steps="reboot"), ends(3))
    # A panic with panic=-1 is a reset; the person is told what the kernel said last.
    lab.case("panic", lab.vmm("--on-reset", "exit", steps="panic"), ends(3, PANIC))
    lab.case("triple-fault", lab.vmm(steps="reboot", append="quiet reboot=t"), ends(5, "(?i)triple fault"))
    lab.case("triple-fault-reset", lab.talk(lab.vmm("--on-crash", "reset", steps="ask", append="quiet reboot=t"),
                                            ("^@test ready", "echo reboot"), ("^@test ready", "echo off")),
             reboots(1), limit=120)
    button = lab.vmm("--initramfs", lab.modules("button", "evdev"), steps="button,off")
    lab.case("sigterm-is-the-power-button", lab.talk(button, ("^@test ready", "kill -TERM $p")), powered_off_by_button)
    # Nobody in the guest listens to the button: the second signal ends it.
    lab.case("sigterm-twice", lab.talk(lab.vmm(steps="ask"), ("^@test ready", "kill -TERM $p; sleep 1; kill -TERM $p")),
             ends(128 + 15))
    # It is about disks, and there are none, nor a PCI bus.
    lab.case("sigusr1", lab.talk(lab.vmm(steps="ask"), ("^@test ready", "kill -USR1 $p; kill -USR1 $p; sleep 1; echo off")),
             lambda r: (r.exits(0), r.require(not r.err, f"stderr has {r.err[:300]!r}")))
    lab.case("sighup", lab.talk(lab.vmm(steps="ask"), ("^@test ready", "kill -HUP $p; sleep 1; kill -HUP $p")),
             ends(128 + 1))
