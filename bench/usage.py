# SPDX-License-Identifier: Apache-2.0
"""What the threads of a program cost between two moments: CPU time and wake-ups.

The vCPU threads are left out: the guest of bench/devices.py polls, so they are busy all the time, whatever the program
does. What is left moves the data. The kernel's workers for io_uring are threads of the process and are counted.
"""
import dataclasses
import os
import pathlib
import re

VCPU = re.compile(r"vcpu|CPU \d+/KVM", re.I)
TICK = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Usage:
    """Since the threads began; seconds, and how often one of them had gone to sleep and was woken."""
    cpu: float = 0.0  # exact, user and system together
    user: float = 0.0  # in ticks of the clock
    system: float = 0.0
    wakeups: int = 0

    def __sub__(self, other):
        return Usage(self.cpu - other.cpu, self.user - other.user, self.system - other.system,
                     self.wakeups - other.wakeups)

    def __add__(self, other):
        return Usage(self.cpu + other.cpu, self.user + other.user, self.system + other.system,
                     self.wakeups + other.wakeups)


def of_thread(folder):
    """None for a vCPU, and for a thread that has ended meanwhile."""
    try:
        if VCPU.search((folder / "comm").read_text()):
            return None
        nanoseconds = int((folder / "schedstat").read_text().split()[0])
        # Behind the name, which may contain anything, in parentheses.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        status = (folder / "status").read_text()
    except OSError:
        return None
    return Usage(nanoseconds / 1e9, int(fields[11]) / TICK, int(fields[12]) / TICK,
                 int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)[1]))


def of_process(pid):
    threads = (of_thread(folder) for folder in pathlib.Path(f"/proc/{pid}/task").iterdir())
    return sum((usage for usage in threads if usage), Usage())


class Meter:
    """Given to terminal.run() as `note`: what was used from the first `start` in the text to the first `end`."""

    def __init__(self, start, end):
        self._marks = [start, end]
        self._seen = []

    def __call__(self, pid, text):
        while len(self._seen) < 2 and self._marks[len(self._seen)] in text:
            self._seen.append(of_process(pid))

    def used(self):
        return self._seen[1] - self._seen[0]
