# SPDX-License-Identifier: Apache-2.0
"""Counting instructions: one program in an emulated machine of its own, where an instruction is a nanosecond.

QEMU emulates a machine with hardware virtualisation and lets one instruction be one nanosecond of its time; nothing in
it sees the host's clock. So VMM, host kernel and guest are counted together, the same input gives the same number on
every machine however busy, and no /dev/kvm is needed. The number has waiting in it (a guest that sleeps 1 ms counts a
million), but not what an exit costs real hardware.
"""
import dataclasses
import re
import shutil
import sys

import sides

sys.path.insert(0, str(sides.ROOT / "integration"))
from nest.case import Case, command  # noqa: E402
from nest.runner import Nest  # noqa: E402

LIMIT = 300  # seconds of the emulated machine for one guest


class NoCount(Exception):
    """The run left no number; the text says where to look."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """From exec until the mark was printed for the first and the last time, and to the end."""
    to_mark: int
    to_last: int
    to_end: int
    exit_code: int


def parse(text):
    """What the stopwatch said; None when the mark never came."""
    found = re.search(r"to-mark=(\d+) to-last=(\d+) to-end=(\d+) exit=(\d+)", text)
    return Counts(*map(int, found.groups())) if found else None


def timed(lab, stopwatch, mark, argv):
    """Shell that runs a program under the stopwatch. The console as input: a terminal, as a user would have."""
    return command(lab.put(stopwatch), mark, "$O/guest", *argv) + " </dev/console"


def count(lab, folder, name, script, limit=LIMIT):
    """The Counts of the program that the script runs `timed`, in an emulated machine that holds this alone."""
    # What an earlier run left must not be taken for this one's: a machine that hangs hands nothing back.
    shutil.rmtree(folder / name, ignore_errors=True)
    case = Case(name, script, check=lambda result: None, limit=limit)
    # boot, not run: that would try once more with the same input, which hangs in the same way.
    result = next(Nest(lab, folder, deterministic=True).boot([case]), None)
    if result is None:
        raise NoCount(f"the emulated machine did not come up: see {folder}")
    counts = parse(result.out)
    if counts is None or result.note:
        raise NoCount(f"{result.note} {result.out.strip()} {result.err.strip()[-300:]} (all of it: {result.folder})")
    return counts
