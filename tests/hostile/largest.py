#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The largest requests that a disk takes, as many as its ring holds, and then: stop.

largest.py --vmm PROGRAM --guest ELF [--folder DIR] [--only TEXT] [--patience SECONDS]
For each kind of request, with and without direct=on, three ends: the guest resets the device, the machine, and a
signal ends the program. None may wait for what the guest asked for, which would be minutes. Exit code 77: no KVM.
"""
import argparse
import contextlib
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time

import hostile
import vmm_under_test

SKIPPED = 77
DISK = 1 << 30  # bytes, for requests of 1016 MiB
SIGNALLED = 128 + signal.SIGTERM
WORKING = 0.2  # seconds that the disk works before it is stopped


class Guest:
    """The program with the guest in it, line by line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        bufsize=0, env=vmm_under_test.environment(),
                                        preexec_fn=vmm_under_test.die_with_parent)  # runs: our own
        self.text = b""

    def expect(self, line, patience):
        """Reads until the guest says so; False if it does not."""
        end = time.monotonic() + patience
        while line not in self.text.split(b"\n")[:-1]:
            ready = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]
            more = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not more:
                return False
            self.text += more.replace(b"\r", b"")
        self.text = b""
        return True

    def say(self, byte):
        self.process.stdin.write(byte)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        _, said = self.process.communicate()
        return said.decode(errors="replace")


def command(options, kind, direct, image):
    return [options.vmm, "run", "--kernel", options.guest, "--memory", "512M", "--disk",
            f"path={image},queue_size=256,direct={direct}", "--on-reset", "reset", "--debug-exit", hostile.DEBUG_EXIT,
            "--cmd-line", f"device=largest only={kind} "]


def stops(guest, patience):
    """(what, seconds) of each; a time of None did not come."""
    def timed(what, act, came):
        time.sleep(WORKING)
        begin = time.monotonic()
        act()
        return what, time.monotonic() - begin if came() else None

    yield timed("start", lambda: None, lambda: guest.expect(b"busy", patience))
    yield timed("device reset", lambda: guest.say(b"d"), lambda: guest.expect(b"reset", patience))
    guest.say(b"d")
    yield timed("work again", lambda: None, lambda: guest.expect(b"busy", patience))
    yield timed("machine reset", lambda: guest.say(b"m"), lambda: guest.expect(b"busy", patience))

    def end():
        for _ in range(2):  # the first one presses a power button that nobody hears
            guest.process.send_signal(signal.SIGTERM)
            time.sleep(0.05)

    def ended():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return guest.process.wait(patience) == SIGNALLED
        return False

    yield timed("end", end, ended)


def run(options, kind, direct, folder):
    image = folder / f"{kind}-{direct}.img"
    with image.open("wb") as file:
        file.truncate(DISK)
    guest = Guest(command(options, kind, direct, image))
    wrong = []
    try:
        for what, seconds in stops(guest, options.patience):
            print(f"{kind}, direct={direct}: {what}", "did not come" if seconds is None else f"{seconds:.2f} s")
            if seconds is None:
                wrong.append(f"{kind}, direct={direct}: {what} took more than {options.patience} s, or ended the program")
                break
    finally:
        said = guest.close()
        image.unlink()
    return wrong + [f"said: {line}" for line in said.splitlines() if wrong]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vmm", required=True)
    parser.add_argument("--guest", required=True)
    parser.add_argument("--folder", help="where the disk's image is made; it takes up to 1 GiB")
    parser.add_argument("--only", default="", help="kinds of requests whose name contains this")
    parser.add_argument("--patience", type=float, default=10, help="a stop that takes longer is wrong")
    options = parser.parse_args()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: /dev/kvm cannot be used")
        return SKIPPED
    wrong = []
    with tempfile.TemporaryDirectory(prefix="vmm-largest-", dir=options.folder) as folder:
        for kind in ("read", "write", "zeroes", "discard"):
            for direct in ("off", "on"):
                if options.only in kind:
                    wrong += run(options, kind, direct, pathlib.Path(folder))
    for text in wrong:
        print("WRONG:", text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
