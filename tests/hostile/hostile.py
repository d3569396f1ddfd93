#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the hostile guest against the program and judges both.

hostile.py --vmm PROGRAM --guest ELF --device KIND [--at-least N] [--only TEXT] [--rounds N] [--sanitized]
Exit code 0: all is well, 1: it is not, 77: this host has no KVM.
"""
import argparse
import hashlib
import os
import pathlib
import platform
import struct
import sys
import tempfile

import judge
import tap
import vmm_under_test

SECTOR = 512
SECTORS = 16384
KEPT_SECTORS = 64  # the guest writes after these only
SKIPPED = 77
# All devices there are, beside disks and network; a kind of device of guest/kinds.cpp each.
OTHER_DEVICES = ["--rng", "--console", "null", "--console-port", "name=agent,null", "--console-port", "name=log,null",
                 "--pvpanic"]
CPUS = "3"  # for races: guest/race.hpp
WARM_UP = 2  # resets before all there is has been used once
MEMORY = "3200M"  # on x86_64, RAM on both sides of the hole below 4 GiB
DEBUG_EXIT = {"x86_64": "0xf4", "aarch64": "0x0a000000"}.get(platform.machine())


def make_disk(path):
    """Sector N is full of the byte N % 256."""
    path.write_bytes(b"".join(bytes([number % 256]) * SECTOR for number in range(SECTORS)))


def pretend_qcow2(path, backing):
    """Begins like a qcow2 image of 1 TiB, version 3, with that backing file: guest/cases_format.cpp."""
    name = os.fsencode(backing)
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 104, len(name), 16, 1 << 40).ljust(100, b"\0") + struct.pack(">I", 104)
    with path.open("r+b") as file:
        file.write((header + name).ljust(SECTOR, b"\0"))


def digest(path, size=-1):
    with path.open("rb") as file:
        return hashlib.sha256(file.read(size)).hexdigest()


class Disks:
    """One that the guest may write to, and one that it may not."""

    def __init__(self, folder):
        self.writable, self.readonly = folder / "disk.img", folder / "readonly.img"
        for path in (self.writable, self.readonly):
            make_disk(path)
        pretend_qcow2(self.readonly, backing=self.writable)
        self.before = self.digests()

    def digests(self):
        return digest(self.writable, KEPT_SECTORS * SECTOR), digest(self.readonly)

    def flags(self):
        return ["--disk", f"path={self.writable},serial=hostile,num_queues=2", "--disk", f"path={self.readonly},readonly=on"]

    def complaints(self):
        kept, readonly = self.digests()
        if kept != self.before[0]:
            yield "sectors that no request named were changed"
        if readonly != self.before[1]:
            yield "the read-only disk was changed"
        if self.writable.stat().st_size != SECTORS * SECTOR:
            yield "the disk has another size"


def open_taps():
    """One with a queue, one with two."""
    try:
        return [tap.Tap(), tap.Tap(queues=2)]
    except OSError as why:
        print("there is no tap interface:", why)
        return []


def policies(options):
    """Of a guest that is reset on purpose, and of one that is not."""
    if options.device == "reset":
        return ["--on-reset", "reset", "--on-crash", "reset"]
    return ["--on-panic", "continue", "--on-reset", "exit"]


def command(options, disks, nets):
    cmdline = f"device={options.device} rounds={options.rounds} only={options.only}"
    return [options.vmm, "run", "--kernel", options.guest, "--memory", f"{MEMORY},shared=on",
            "--num-cpu", CPUS, *disks.flags(),
            *(flag for number, net in enumerate(nets) for flag in net.flags(f"52:54:00:12:34:{56 + number}")), *OTHER_DEVICES, *policies(options), "--debug-exit", DEBUG_EXIT, "--cmd-line", cmdline]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vmm", required=True)
    parser.add_argument("--guest", required=True)
    parser.add_argument("--device", required=True, help="kind of device, pc, or reset")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--sanitized", action="store_true", help="growth does not count")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--at-least", type=int, default=1, help="cases that there must be")
    parser.add_argument("--timeout", type=float, default=500, help="seconds; a tenth will do on a machine that is idle")
    return parser.parse_args()


def main():
    options = arguments()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: /dev/kvm cannot be used")
        return SKIPPED
    nets = open_taps()
    if options.device in ("net", "pairs") and not nets:
        print("skipped: the network device is tested on a tap interface only")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="vmm-hostile-") as folder:
        disks = Disks(pathlib.Path(folder))
        run = vmm_under_test.run(command(options, disks, nets), rounds=options.rounds, timeout=options.timeout,
                                 pass_fds=[fd for net in nets for fd in net.fds])
        # Of a sanitized program all rounds are: it keeps what was freed.
        warm_up = options.rounds if options.sanitized else WARM_UP if options.device == "reset" else 0
        # All cases of a device but the few whose device has work for long, those with all the work there is among them.
        rests = 0 if options.device in ("pc", "reset") else max(0, options.at_least - 8)
        wrong = [*judge.complaints(run, rounds=options.rounds, at_least=options.at_least, warm_up=warm_up, rests=rests),
                 *disks.complaints()]
    for name in run.names:
        print(name)
    for line in [*run.other_lines, *run.log]:
        print("said:", line)
    print(f"{len(run.names)} cases, vitals by round:", *(each.vitals for each in run.rounds), sep="\n  ")
    for text in wrong:
        print("WRONG:", text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
