#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes cmake/start_order.ld: the functions that a start of vmm needs, in the order in which it needs them.

    bench/start_order.py [--check]

The linker puts them side by side, so that a start maps few pages and a running machine keeps few: Linux maps 16 pages
around each that is touched. For that the program runs twice on the local /dev/kvm, on a terminal and with devices, with a
breakpoint on each function. A function that is new stays where the linker puts it, a name that is nowhere does no harm: the
list is worth a run when much has changed. --check says how much, and fails if more than a quarter is missing.
"""
import argparse
import collections
import contextlib
import ctypes
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time

import sides
from tap import NoTap, tap

LIST = sides.ROOT / "cmake/start_order.ld"
SAYS = b"Hello from ring 3"
SETTLES = 0.5  # seconds after that until the main thread rests: what it did while the guest started belongs to a start
MISSING = 0.25  # of the functions of a start, from where the list is too old
BREAKPOINT = b"\xcc"
PTRACE_TRACEME, PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_SETOPTIONS = 0, 7, 12, 13, 0x4200
PTRACE_O_TRACECLONE, PTRACE_O_EXITKILL = 1 << 3, 1 << 20
WALL = 0x40000000
RIP = 16 * 8  # in struct user_regs_struct, which is 27 registers
REGISTERS = 27 * 8
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, data=None):
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x})")


def functions(program):
    """Addresses, as linked."""
    lines = subprocess.run(["nm", "--defined-only", program], capture_output=True, text=True, check=True).stdout
    return sorted({int(line.split()[0], 16) for line in lines.splitlines() if line.split()[1] in "tTwWi"})


def base_of(pid, program):
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith(os.path.realpath(program)):
            return int(line.split("-")[0], 16)
    raise SystemExit(f"{program} is not in the process's memory map")


def become(argv, standard):
    """The child's part; it never comes back."""
    try:
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
        ptrace(PTRACE_TRACEME, 0)
        os.execv(argv[0], argv)
    finally:
        os._exit(1)


class Traced:
    """A process with breakpoints; each fires once."""

    def __init__(self, argv, addresses, errors, on_terminal):
        self.hits = {}  # in their order
        self.said, output = pty.openpty() if on_terminal else os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            become(argv, [output if on_terminal else os.open(os.devnull, os.O_RDONLY), output, errors])
        os.close(output)
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            raise PermissionError("a program cannot be traced here")
        ptrace(PTRACE_SETOPTIONS, self.pid, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)
        self.base = base_of(self.pid, argv[0])
        self.memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR)
        self.saved = {}
        for address in addresses:
            self.saved[address] = os.pread(self.memory, 1, self.base + address)
            os.pwrite(self.memory, BREAKPOINT, self.base + address)

    def run(self, until, timeout=60):
        end = time.monotonic() + timeout
        text = b""
        settled = None
        ptrace(PTRACE_CONT, self.pid)
        while settled is None or time.monotonic() < settled:
            if settled is None and until in text:
                settled = time.monotonic() + SETTLES
            if time.monotonic() > end:
                sys.exit(f"did not say {until!r}: {text!r}")
            while select.select([self.said], [], [], 0)[0] and (more := os.read(self.said, 4096)):
                text += more
            thread, status = os.waitpid(-1, WALL | os.WNOHANG)
            if thread and os.WIFSTOPPED(status):
                self.stopped(thread, os.WSTOPSIG(status))
            elif thread == self.pid:
                sys.exit(f"ended early: {text!r}")
        self.end()

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, WALL)
        os.close(self.memory)
        os.close(self.said)

    def stopped(self, thread, why):
        if why == signal.SIGTRAP:
            registers = ctypes.create_string_buffer(REGISTERS)
            ptrace(PTRACE_GETREGS, thread, ctypes.cast(registers, ctypes.c_void_p))
            stopped_at = struct.unpack_from("Q", registers, RIP)[0] - 1
            if stopped_at - self.base in self.saved:
                self.hit(stopped_at - self.base)
                struct.pack_into("Q", registers, RIP, stopped_at)
                ptrace(PTRACE_SETREGS, thread, ctypes.cast(registers, ctypes.c_void_p))
        ours = why in (signal.SIGTRAP, signal.SIGSTOP)
        ptrace(PTRACE_CONT, thread, None if ours else int(why))

    def hit(self, address):
        os.pwrite(self.memory, self.saved[address], self.base + address)
        self.hits.setdefault(address)


Section = collections.namedtuple("Section", "address size name file")
SECTION = re.compile(r"^ (\.text[^\s]*)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S+)$", re.M)


def sections(text):
    """What the linker has put where, by its map."""
    text = text[text.index("Linker script and memory map"):]
    found = [Section(int(m[2], 16), int(m[3], 16), m[1], m[4]) for m in SECTION.finditer(text)]
    return sorted(section for section in found if section.size and section.address)


def pattern(section):
    """How a linker script names it."""
    archive, member = re.search(r"([^/(]+)(?:\(([^)]+)\))?$", section.file).groups()
    if member:
        return f"*{archive}:{member}({section.name})"
    # What link-time optimisation has made is in files without lasting names, each function in a section of its own.
    return f"*({section.name})" if "ltrans" in archive else f"*{archive}({section.name})"


def patterns(addresses, placed):
    at = 0
    named = {}
    for address in sorted(addresses):
        while at < len(placed) and placed[at].address + placed[at].size <= address:
            at += 1
        if at < len(placed) and placed[at].address <= address:
            named[address] = pattern(placed[at])
    return list(dict.fromkeys(named[address] for address in addresses if address in named))


def starts(vmm, kernel):
    """Where functions are that starts call, in the order of the calls: as a user's, with its messages in a file, and as
    a script's with devices.
    """
    addresses = functions(vmm)
    with tempfile.NamedTemporaryFile() as disk, tap() as interface, tempfile.TemporaryFile() as errors:
        disk.truncate(1 << 20)
        devices = ["--disk", f"path={disk.name}", "--net", f"tap={interface}", "--rng", "--console", "file=/dev/null"]
        for more, on_terminal in ([], True), (devices, False):
            traced = Traced([vmm, "run", "--kernel", kernel, "--memory", "128M", *more], addresses, errors.fileno(),
                            on_terminal)
            traced.run(SAYS)
            yield from traced.hits


def script(lines):
    return ("/* Made by bench/start_order.py, which says what it is for. */\nSECTIONS\n{\n  .text.start :\n  {\n" +
            "".join(f"    {line}\n" for line in lines) + "  }\n}\nINSERT BEFORE .text;\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vmm", default=str(sides.ROOT / "build/release/cli/vmm"), help="default: %(default)s")
    parser.add_argument("--build", type=pathlib.Path, default=sides.ROOT / "build/dev/bench",
                        help="where the payloads were built (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing, say how good the list is")
    arguments = parser.parse_args()
    sides.skip_without_kvm()
    try:
        called = list(dict.fromkeys(starts(arguments.vmm, str(arguments.build / "hello.elf"))))
    except (NoTap, PermissionError) as error:  # ptrace has its own permissions
        print(f"skipped: {error}")
        return sides.SKIPPED
    lines = patterns(called, sections(pathlib.Path(arguments.vmm + ".map").read_text()))
    if not arguments.check:
        LIST.write_text(script(lines))
        return print(f"{LIST}: {len(lines)} functions")
    missing = set(lines) - {line.strip() for line in LIST.read_text().splitlines()}
    print(f"{LIST}: {len(missing)} of the {len(lines)} functions of a start are not in it")
    return len(missing) > MISSING * len(lines)


if __name__ == "__main__":
    sys.exit(main())
