# SPDX-License-Identifier: Apache-2.0
"""Boots one Linux guest to its shell: on this host if it has hardware KVM, else in an emulated machine.

PYTHONPATH=integration python3 -m nest.try_guest --vmm PATH [--arch ARCH] [vmm run's own flags...]
On a terminal the guest's console is yours. Otherwise commands come from standard input, one a line (or are a few
of our own), the guest is powered off at the end, and the exit code says whether all of that worked.
"""
import argparse
import contextlib
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import termios
import time

from images import catalog, debian
from nest import machine, runner
from nest.case import Host
from nest.lab import Lab

PROMPT = re.compile(rb"(?:^|\n)\$ $")
COMMANDS = ["uname -a", "cat /proc/cmdline", "free -m"]
BOOT_LIMIT, COMMAND_LIMIT = 180, 60  # seconds


def guest(lab, extra):
    return lab.vmm(*extra, kernel="deb612", steps="", memory="512M", append="quiet")


@contextlib.contextmanager
def nested(lab, extra, work, console):
    """The command that boots L1 with the guest on its console; yields it with the file of the guest's exit code."""
    size = shutil.get_terminal_size()
    script = (f"stty rows {size.lines} cols {size.columns} 2>/dev/null\ndmesg -n 1\nexport T=/t O=/tmp\n"
              f"{guest(lab, extra)}\necho \"@exit $?\" >/dev/{machine.ARCHITECTURES[lab.arch].channel}\n")
    host, archive, channel = Host(), work / "initramfs", work / "channel"
    machine.write_initramfs(archive, host, lab, [], console=script)
    channel.touch()
    yield machine.command(lab.arch, host, archive, console, channel), channel


def exit_code(channel, code):
    """The guest's own, where an L1 stands between it and us."""
    if channel is None:
        return code
    found = re.search(r"@exit (\d+)", channel.read_text(errors="replace"))
    return int(found[1]) if found else 1


class Talk:
    """Types into the guest's console and waits for its prompt."""

    def __init__(self, process):
        self.process, self.seen = process, b""

    def reaches(self, pattern, limit):
        """Passes on what the guest prints until the pattern matches, or the output ends where that is None."""
        start, deadline = len(self.seen), time.monotonic() + limit * runner.PATIENCE
        while time.monotonic() < deadline:
            if not select.select([self.process.stdout], [], [], 0.2)[0]:
                continue
            data = os.read(self.process.stdout.fileno(), 4096)
            if not data:
                return pattern is None
            data = data.replace(b"\r", b"")
            self.seen += data
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            if pattern and pattern.search(self.seen, start):
                return True
        return False

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def run(self, commands):
        if not self.reaches(PROMPT, BOOT_LIMIT):
            return "no shell prompt came"
        for line in commands:
            self.type(line)
            if not self.reaches(PROMPT, COMMAND_LIMIT):
                return f"no prompt after: {line}"
        self.type("poweroff")
        return "" if self.reaches(None, COMMAND_LIMIT) else "the guest did not power off"


def scripted(command, channel, environment):
    lines = [line.strip() for line in sys.stdin if line.strip()] or COMMANDS
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
                               env=environment)  # runs: sh qemu-system-x86_64 qemu-system-aarch64
    try:
        problem = Talk(process).run(lines)
        if not problem:
            process.wait(30)
    except BrokenPipeError:
        problem = "the guest ended early"
    finally:
        runner.end_session(process.pid)
        code = process.wait()
    code = exit_code(channel, code)
    if problem or code != 0:
        print(f"\ntry: {problem or 'the guest did not end well'} (exit code {code})")
        return code or 1
    print(f"try: prompt, {len(lines)} commands and power-off: fine\n1 passed, 0 failed")
    return 0


def interactive(command, channel, environment):
    before = termios.tcgetattr(sys.stdin)
    try:
        code = subprocess.call(command, env=environment)  # runs: sh qemu-system-x86_64 qemu-system-aarch64
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
    return exit_code(channel, code)


def main():
    parser = argparse.ArgumentParser(prog="try", description=__doc__)
    parser.add_argument("--vmm", required=True)
    parser.add_argument("--arch", choices=sorted(machine.ARCHITECTURES), default="x86_64")
    options, extra = parser.parse_known_args()
    lab = Lab(options.vmm, tempfile.gettempdir(), options.arch)
    with catalog.lock():
        guest(lab, extra)  # fetches and builds what it names
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    talk = interactive if terminal else scripted
    with tempfile.TemporaryDirectory(prefix="vmm-try-") as folder:
        work = pathlib.Path(folder)
        if runner.hardware_kvm(options.arch):
            print("== this host has hardware KVM: the guest runs on it. Ctrl-A X leaves it.", flush=True)
            for name, source in lab.files.items():
                (work / name).symlink_to(source)
            return talk(["sh", "-c", "exec " + guest(lab, extra)], None, {**os.environ, "T": folder, "O": folder})
        print("== no hardware KVM that we may use: the guest runs in an emulated machine, which takes\n"
              "== some 15 seconds to start. Ctrl-A X leaves it.", flush=True)
        with nested(lab, extra, work, "chardev:console") as (command, channel):
            chardev = ["-chardev", "stdio,id=console,signal=off"]
            return talk([command[0], *chardev, *command[1:]], channel, None)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (debian.Missing, subprocess.CalledProcessError) as error:
        sys.exit(f"try: {error}")
