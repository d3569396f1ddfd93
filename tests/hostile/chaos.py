#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several CPUs of a guest do anything to any device for some time; then the VMM must still be well.

chaos.py --vmm PROGRAM --guest ELF [--seconds N] [--seed N] [--sanitized]
A find is run again with the seed that was printed; the order among CPUs is the host's, so a race may need several runs.
Exit code 0: all is well, 1: it is not, 77: this host has no KVM.
"""
import argparse
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import hostile
import vmm_under_test

GUEST_ENDED = 5  # it has destroyed itself in a way that KVM cannot go on from: docs/exit-codes.md
TOLD_TO_END = 128 + signal.SIGTERM
MOST_STARTS = 20  # of programs, each after a guest that ended itself
MOST_LINES, MOST_LINES_OF_A_GENERATION = 30, 10  # of the log
MOST_GROWTH_KIB = 32 << 10
END_LIMIT = 20  # seconds from being told a second time
REPORT = re.compile(r"Sanitizer|runtime error:|assert|terminate called", re.I)


@dataclasses.dataclass
class Life:
    """One process, from its start to its end."""
    exit_code: int | None = None
    told: bool = False  # to end, by us
    hung: bool = False
    generations: int = 0
    steps: int = 0
    grown_kib: int = 0
    log: list = dataclasses.field(default_factory=list)


def complaints(lives, *, seconds, sanitized=False):
    """What is wrong, a text each."""
    for life in lives:
        allowed = TOLD_TO_END if life.told else GUEST_ENDED
        if life.hung:
            yield f"it did not end within {END_LIMIT} s of the second SIGTERM"
        elif life.exit_code != allowed:
            yield f"the exit code is {life.exit_code}, not {allowed}"
        if len(life.log) > MOST_LINES + MOST_LINES_OF_A_GENERATION * life.generations:
            yield f"{len(life.log)} log lines in {life.generations} generations"
        if life.grown_kib > MOST_GROWTH_KIB and not sanitized:
            yield f"memory grew by {life.grown_kib} KiB"
        yield from (f"the log says: {line}" for line in life.log if REPORT.search(line))
    if not any(life.told for life in lives):
        yield f"the guest ended itself {len(lives)} times"
    steps = sum(life.steps for life in lives)
    least = int(seconds * (20 if sanitized else 200))
    if steps < least:
        yield f"{steps} steps in {seconds:g} s, at least {least} were promised: is anything done at all?"


class Seeds:
    """A number for each generation, also across processes."""

    def __init__(self, first):
        self.next = first

    def take(self):
        self.next += 1
        return self.next - 1


def talk(process, life, seeds):
    """Answers the guest and counts; until its output ends."""
    seen, steps = b"", 0
    while chunk := process.stdout.read1(65536):
        seen = (seen + chunk)[-4096:]
        for found in re.finditer(rb"^steps (\d+)\n", seen, re.M):
            steps = max(steps, int(found[1]))
        if b"\nchaos?\n" in seen:
            seen = b""
            life.generations += 1
            life.steps, steps = life.steps + steps, 0
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(b"%d\n" % seeds.take())
                process.stdin.flush()
    life.steps += steps


def tell_to_end(process, life):
    """First the question for a new size of its disks, which must not hurt; then the end, politely and at once."""
    life.told = True
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
            return
    try:
        process.wait(END_LIMIT)
    except subprocess.TimeoutExpired:
        life.hung = True
        process.kill()


def watch(process, life, enough):
    """Until it ends or enough() is true, and then until it has been told to end."""
    first = None
    while process.poll() is None and not enough(life):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
            now = vmm_under_test.vitals(process.pid).anonymous_kib
            first = now if first is None and life.generations > 1 else first
            life.grown_kib = max(life.grown_kib, now - (first or now))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    if process.poll() is None:
        tell_to_end(process, life)
    life.exit_code = process.wait()


def live(command, enough, seeds, pass_fds=()):
    life = Life()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=vmm_under_test.environment(), pass_fds=pass_fds,
                          preexec_fn=vmm_under_test.die_with_parent) as process:  # runs: our own
        def read_log():
            life.log.extend(process.stderr.read().decode(errors="replace").splitlines())
        threads = [threading.Thread(target=talk, args=(process, life, seeds)), threading.Thread(target=read_log)]
        for thread in threads:
            thread.start()
        watch(process, life, enough)
        for thread in threads:
            thread.join()
    return life


def command(options, disks, nets):
    return [options.vmm, "run", "--kernel", options.guest, "--memory", f"{hostile.MEMORY},shared=on", "--num-cpu", hostile.CPUS,
            *disks.flags(), *(flag for number, net in enumerate(nets) for flag in net.flags(f"52:54:00:12:34:{56 + number}")),
            *hostile.OTHER_DEVICES, "--on-reset", "reset", "--on-crash", "reset", "--on-panic", "continue",
            "--cmd-line", "device=chaos"]


def changed_sectors(path):
    """Of a disk as hostile.make_disk() makes it: do requests get through?"""
    data = path.read_bytes()
    return sum(data[at:at + hostile.SECTOR] != bytes([at // hostile.SECTOR % 256]) * hostile.SECTOR
               for at in range(0, len(data), hostile.SECTOR))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vmm", required=True)
    parser.add_argument("--guest", required=True)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--sanitized", action="store_true", help="growth does not count, and all is slower")
    return parser.parse_args()


def main():
    options = arguments()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: /dev/kvm cannot be used")
        return hostile.SKIPPED
    seed = time.time_ns() % 1_000_000_000 if options.seed is None else options.seed
    print(f"chaos for {options.seconds:g} s, --seed {seed}", flush=True)
    seeds, lives, nets = Seeds(seed), [], hostile.open_taps()
    deadline = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="vmm-chaos-") as folder:
        disks = hostile.Disks(pathlib.Path(folder))
        line = command(options, disks, nets)
        while len(lives) < MOST_STARTS and not (lives and (lives[-1].told or lives[-1].exit_code != GUEST_ENDED)):
            lives.append(live(line, lambda _: time.monotonic() > deadline, seeds, [fd for net in nets for fd in net.fds]))
        readonly_changed = disks.digests()[1] != disks.before[1]
        sectors = changed_sectors(disks.writable)
    wrong = [*complaints(lives, seconds=options.seconds, sanitized=options.sanitized)]
    if readonly_changed:
        wrong.append("the read-only disk was changed")
    for line in [line for life in lives for line in life.log][-60:]:
        print("said:", line)
    print(f"{len(lives)} starts, {sum(life.generations for life in lives)} generations, "
          f"{sum(life.steps for life in lives)} steps counted, "
          f"{sectors} sectors changed, exit codes {[life.exit_code for life in lives]}")
    for text in wrong:
        print("WRONG:", text)
    if wrong:
        print(f"once more: chaos.py --seed {seed} --seconds {options.seconds:g}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
