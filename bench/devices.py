#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disk and network, side by side: guest/io.cpp drives a virtio device over PCI from ring 3, on the local /dev/kvm.

    bench/devices.py --vmm build/release/cli/vmm [--with-alioth]

The disk is a raw file in the host's page cache (QEMU: an iothread and io_uring; Alioth: both of its ways to wait), the
network a tap interface (QEMU without vhost, as the others). The guest has one vCPU and polls for completions, so a row
shows what kicks and the device's own thread cost. It says '[' when it is at full speed and ']' when `count` more
are done; the time between the two, on the host's clock, is the run. Every side and row has a process of its own.
"""
import argparse
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import report
import sides
import terminal
import usage
from tap import NoTap, tap, wait_until_free

MIB = 1 << 20
GIB = 1 << 30
DISK = 256 * MIB


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    unit: str
    job: str  # what the guest is told
    count: int
    size: int
    blast: int = 0  # bytes of the frames that the host sends meanwhile
    bytes: bool = False  # `count` is bytes
    latency: bool = False  # microseconds each, and less is better

    @property
    def disk(self):
        return self.job.startswith(("read", "write"))

    def command_line(self, share):
        count = max(1, self.count // share)
        return (f"do={self.job},size={self.size},count={count},bytes={int(self.bytes)}," +
                (f"span={DISK // self.size}" if self.disk else "depth=256"))

    def value(self, seconds, share):
        count = max(1, self.count // share)
        if self.latency:
            return seconds / count * 1e6
        if self.unit == "MiB/s":
            return count * (1 if self.bytes else self.size) / seconds / MIB
        return count / seconds / 1e3

    def amount(self, share):
        """In what the costs are told for: GiB, or thousands of requests or frames."""
        count = max(1, self.count // share)
        return count * (1 if self.bytes else self.size) / GIB if self.unit == "MiB/s" else count / 1e3

    @property
    def each(self):
        return "GiB" if self.unit == "MiB/s" else "1000"


@dataclasses.dataclass(frozen=True)
class Sample:
    """One run: its value, and what the program's threads but vCPUs took, for each GiB or 1000 requests."""
    value: float
    cpu: float  # ms
    user: float
    system: float
    wakeups: float


ROWS = [
    Row("4 KiB random read, depth 128", "K/s", "read,random=1,depth=128", 200_000, 4096),
    Row("4 KiB random read, depth 1", "us", "read,random=1,depth=1", 20_000, 4096, latency=True),
    Row("1 MiB sequential read", "MiB/s", "read,depth=8", 4096, MIB),
    Row("1 MiB sequential write", "MiB/s", "write,depth=8", 512, MIB),
    Row("60-byte frames sent", "K/s", "send", 500_000, 60),
    Row("60-byte frames received", "K/s", "receive", 300_000, 60, blast=60),
    Row("60 KiB segments sent", "MiB/s", "send", 8192 * MIB, 60 * 1024, bytes=True),
    Row("60 KiB segments received", "MiB/s", "receive", 4096 * MIB, 60 * 1024, blast=60 * 1024, bytes=True),
]


def measure(argv, row, share, machine):
    if machine.disk:  # what the run before has written goes out now, not meanwhile
        with open(machine.disk, "rb") as file:
            os.fsync(file.fileno())
    if machine.tap:
        wait_until_free(machine.tap)
    meter = usage.Meter(b"[", b"]")
    transcript = terminal.run(argv, b"]", timeout=60, note=meter)
    start = transcript.arrival(transcript.text.index(b"["))
    end = transcript.arrival(transcript.text.index(b"]"))
    used, amount = meter.used(), row.amount(share)
    return Sample(row.value(max(end - start, 1) / 1e9, share), 1e3 * used.cpu / amount, 1e3 * used.user / amount,
                  1e3 * used.system / amount, used.wakeups / amount)


@contextlib.contextmanager
def blasting(program, interface, size):
    """The other end of the tap sends, or does nothing if `size` is 0."""
    if not size:
        yield
        return
    sender = subprocess.Popen([program, interface, str(size)])  # runs: our own
    try:
        yield
    finally:
        sender.kill()
        sender.wait()


def calls(found, elf, machine):
    made = {}
    for side in found:
        if side.name == "floor":
            continue
        made[side.label] = side.call(elf, machine)
        if side.name == "alioth":
            made[f"{side.label}, io_uring"] = side.call(elf, dataclasses.replace(machine, worker="iouring"))
    return made


def compare(row, machine, found, arguments):
    elf = arguments.build / "io.elf"
    share = 10 if arguments.smoke else 1
    machine = dataclasses.replace(machine, command_line=row.command_line(share))
    with blasting(arguments.build / "blast", machine.tap, row.blast):
        return report.interleave({label: lambda argv=argv: measure(argv, row, share, machine)
                                  for label, argv in calls(found, elf, machine).items()}, arguments.rounds)


def median_of(samples, field):
    return report.median([getattr(sample, field) for sample in samples])


def print_row(row, values, rounds):
    ours = median_of(values["vmm"], "value") if values.get("vmm") else None
    lines = []
    for label, samples in values.items():
        low, high = report.quartiles([sample.value for sample in samples])
        middle = median_of(samples, "value")
        ahead = "-" if ours is None else f"{middle / ours if row.latency else ours / middle:.2f}"
        costs = [f"{median_of(samples, field):.{digits}f}"
                 for field, digits in (("cpu", 2), ("user", 2), ("system", 2), ("wakeups", 0))]
        lines.append([label, f"{middle:.1f}", f"{low:.1f} - {high:.1f}", ahead, *costs])
    print(report.table(f"### {row.name}, medians of {rounds} rounds",
                       ["", row.unit, "quartiles", "vmm is better by", f"CPU, ms per {row.each}", "user", "system",
                        f"wake-ups per {row.each}"], lines), flush=True)


def run_rows(rows, machine, found, arguments):
    everything, missing = {}, []
    for row in rows:
        everything[row.name], failed = compare(row, machine, found, arguments)
        print_row(row, everything[row.name], arguments.rounds)
        missing += [f"{label} ({row.name})" for label in failed]
    return everything, missing


@contextlib.contextmanager
def with_disk(machine, arguments):
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = pathlib.Path(folder, "disk")
        with path.open("wb") as file:
            for _ in range(DISK // MIB):
                file.write(os.urandom(MIB))
        yield dataclasses.replace(machine, disk=str(path))


@contextlib.contextmanager
def with_tap(machine, _):
    with tap() as name:
        yield dataclasses.replace(machine, tap=name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sides.add_arguments(parser)
    parser.add_argument("--only", action="append", help="only rows whose name has this in it")
    parser.add_argument("--folder", help="where the disk's file is made (default: the system's temporary folder)")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.smoke else 7)
    # What runs at the time ends with this, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sides.skip_without_kvm()
    found = sides.find(arguments)
    rows = [row for row in ROWS if not arguments.only or any(word in row.name for word in arguments.only)]
    machine = sides.Machine(memory_mib=256)
    everything, missing = {}, []
    for wanted, with_device in ((True, with_disk), (False, with_tap)):
        some = [row for row in rows if row.disk == wanted]
        if not some:
            continue
        try:
            with with_device(machine, arguments) as complete:
                more, also = run_rows(some, complete, found, arguments)
                everything, missing = everything | more, missing + also
        except NoTap as error:
            print(f"no rows about networks: {error}")
    plain = {row: {label: [dataclasses.asdict(sample) for sample in samples] for label, samples in values.items()}
             for row, values in everything.items()}
    report.finish(arguments.json, plain, missing)


if __name__ == "__main__":
    main()
