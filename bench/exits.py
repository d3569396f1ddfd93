#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an exit to a device model and back costs: nanoseconds for a read of the serial port's line status register.

    bench/exits.py --vmm build/release/cli/vmm [--with-alioth]

payloads/exits.s writes a byte after every 2000 reads; the time between two bytes, divided, is one value, and the median of
a run's 25 values is that run. "above floor" is the median over rounds of (side - floor) within a round, so that
what the machine was doing at the time falls out.
"""
import argparse

import report
import sides
import terminal

READS_PER_BLOCK = 2000  # as in payloads/exits.s
BLOCKS = 25
ALL = b"|" * (BLOCKS + 1) + b"."


def measure(argv):
    """Nanoseconds per read"""
    transcript = terminal.run(argv, ALL, timeout=60)
    first = transcript.text.index(ALL)
    times = [transcript.arrival(first + i) for i in range(BLOCKS + 1)]
    return report.median([(b - a) / READS_PER_BLOCK for a, b in zip(times, times[1:])])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sides.add_arguments(parser)
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.smoke else 21)
    sides.skip_without_kvm()
    calls = {side.label: side.call(arguments.build / "exits.elf") for side in sides.find(arguments)}
    values, failed = report.interleave({label: lambda argv=argv: measure(argv) for label, argv in calls.items()},
                                       arguments.rounds)
    floor = values.get("floor")
    rows = []
    for label, samples in values.items():
        low, high = report.quartiles(samples)
        above = [a - b for a, b in zip(samples, floor)] if floor else []
        rows.append([label, f"{report.median(samples):.0f}", f"{low:.0f} - {high:.0f}",
                     f"{report.median(above):+.0f}" if above else "-",
                     f"{report.median(samples) / report.median(floor):.3f}" if floor else "-"])
    print(report.table(f"### One exit to a device and back, medians of {arguments.rounds} rounds",
                       ["", "ns", "quartiles", "above floor, ns", "x floor"], rows), flush=True)
    report.finish(arguments.json, values, failed)


if __name__ == "__main__":
    main()
