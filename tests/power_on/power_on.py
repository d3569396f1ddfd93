#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a guest finds in RAM when it starts is the same whatever RAM is made of and whatever was in it before.

power_on.py --vmm PROGRAM --guest ELF
Exit code 0: all is well, 1: it is not, 77: this host has no KVM.
"""
import argparse
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

SKIPPED = 77
ALL_GOOD = 40  # of the guest
MIB = 1 << 20
SIZE = 32  # MiB; fits into the /dev/shm of a container
MOST = 200  # characters of a line that are of interest
PATIENCE = 100  # seconds; a machine that is stuck is what this is for


class Failed(Exception):
    pass


def starts(options, memory, command_line="short", resets=1, cpus=1):
    """What the guest says at its start and after each reset; it leaves RAM full of 0xAA."""
    command = [options.vmm, "run", "--kernel", options.guest, "--memory", f"{SIZE}M{memory}", "--on-reset", "reset",
               "--debug-exit", "0xf4", "--cmd-line", command_line, "--auto-cmdline", "off", "--num-cpu", str(cpus)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace") as machine:  # runs: our own
        end = threading.Timer(PATIENCE, machine.kill)
        end.start()
        lines = []
        for answer in "r" * resets + "q":  # one at a time: a reset drops what the serial port has
            lines.append(machine.stdout.readline().rstrip()[:MOST])
            with contextlib.suppress(BrokenPipeError):
                machine.stdin.write(answer)
                machine.stdin.flush()
        rest, said = machine.communicate()
        end.cancel()
    if machine.returncode != ALL_GOOD or rest:
        raise Failed(f"{memory}: exit code {machine.returncode}, lines {lines}, then {rest[:MOST]!r}, and {said!r}")
    return lines


def fail_to_start(options, memory):
    command = [options.vmm, "run", "--kernel", options.guest, "--memory", f"{SIZE}M{memory}", "--disk", "path=/nonexistent/disk"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # runs: our own
    if ran.returncode != 2 or "/nonexistent/disk" not in ran.stderr:
        raise Failed(f"{memory}, no disk: exit code {ran.returncode}, {ran.stderr!r}")


def is_full_of(path, byte):
    """Of the file of a machine that has ended, after the guest's program."""
    with path.open("rb") as file:
        file.seek(2 * MIB)
        return file.read() == bytes([byte]) * ((SIZE - 2) * MIB)


def check(options, folder):
    expected = starts(options, "")[0]
    if " bss 0 command short" not in expected:
        raise Failed(f"anonymous memory: {expected!r}")

    # APIC ids above 254 take another way through KVM, reset included. More vCPUs are more tables in RAM.
    wide = starts(options, "", resets=2, cpus=300)
    if len(set(wide)) != 1 or " bss 0 command short" not in wide[0]:
        raise Failed(f"300 vCPUs: {wide}")
    print("ok 300 vCPUs")

    def same(name, memory, **how):
        for number, line in enumerate(starts(options, memory, **how)):
            if line != expected:
                raise Failed(f"{name}, {number} resets: {line!r} and not {expected!r}")
        print("ok", name)

    same("anonymous memory", "", resets=2)
    same("a memfd", ",shared=on")
    same("anonymous memory, prefaulted", ",prefault=on")
    for where in (folder, pathlib.Path("/dev/shm")):
        path = where / f"vmm-power-on-{os.getpid()}"
        try:
            fail_to_start(options, f",file={path}")
            if path.exists():
                raise Failed(f"a start that failed left {path}")
            same(f"a new file in {where}", f",file={path}")
            if not is_full_of(path, 0xaa):
                raise Failed(f"{path} is not what the guest has left in its RAM")
            same(f"the file of the machine before, in {where}", f",file={path},shared=on")
            path.write_bytes(b"w" * SIZE * MIB)
            fail_to_start(options, f",file={path}")
            if not is_full_of(path, ord("w")):
                raise Failed(f"a start that failed has changed {path}")
            same(f"a file full of 'w' in {where}", f",file={path},prefault=on", resets=2)
            starts(options, f",file={path}", command_line="a line that is longer than the next one")
            same(f"a command line after a longer one, in {where}", f",file={path}")
        finally:
            path.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vmm", required=True)
    parser.add_argument("--guest", required=True)
    options = parser.parse_args()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: /dev/kvm cannot be used")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="vmm-power-on-") as folder:
        try:
            check(options, pathlib.Path(folder))
        except Failed as why:
            print("WRONG:", why)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
