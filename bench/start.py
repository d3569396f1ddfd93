#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Start-up and memory, side by side: from the start of the process to the guest's first byte on the serial port,
and the process's PSS when the payload has said all it says.

    bench/start.py --vmm build/release/cli/vmm [--with-alioth]

Each side boots the same PVH ELF (payloads/hello.s) on the local /dev/kvm, one after the other in an order that changes
every round. "nothing" is a program that writes the same text without KVM: what process and terminal cost by themselves.
"""
import argparse
import contextlib
import dataclasses
import tempfile

import report
import sides
import terminal
from tap import NoTap, tap, wait_until_free

HELLO = b"Hello from ring 3"
NO_SANDBOX = "vmm --sandbox off"
MACHINES = {
    "128 MiB": sides.Machine(memory_mib=128),
    "16 GiB": sides.Machine(memory_mib=16384),
    "32 vCPUs": sides.Machine(memory_mib=128, cpus=32),
    "disk, network, entropy and console": sides.Machine(memory_mib=128, more=True),  # and what main() adds
}


def measure(argv, tap=""):
    """(milliseconds to the first byte, PSS in KiB)"""
    if tap:
        wait_until_free(tap)
    transcript = terminal.run(argv, HELLO)
    return transcript.arrival(transcript.text.index(HELLO)) / 1e6, transcript.pss_kib


@contextlib.contextmanager
def devices_of(machine):
    """The machine with a disk and a tap interface of its own, if it is one with devices."""
    if not machine.more:
        yield machine
        return
    with tempfile.NamedTemporaryFile() as disk, tap() as interface:
        disk.truncate(64 << 20)
        yield dataclasses.replace(machine, disk=disk.name, tap=interface)


def compare(name, machine, found, arguments):
    """Prints the table of one configuration; gives back all values and who did not run."""
    elf = arguments.build / "hello.elf"
    calls = {side.label: side.call(elf, machine) for side in found}
    calls[NO_SANDBOX] = [*calls["vmm"], "--sandbox", "off"]
    calls["nothing"] = [found[0].program, "--say", HELLO.decode()]
    values, failed = report.interleave({label: lambda argv=argv: measure(argv, machine.tap) for label, argv in calls.items()},
                                       arguments.rounds)
    floor = report.median([ms for ms, _ in values["floor"]]) if "floor" in values else None
    rows = []
    for label, samples in values.items():
        times = [ms for ms, _ in samples]
        low, high = report.quartiles(times)
        rows.append([label, f"{report.median(times):.2f}", f"{low:.2f} - {high:.2f}",
                     f"{report.median(times) / floor:.2f}" if floor else "-",
                     f"{report.median([pss for _, pss in samples]):.0f}"])
    print(report.table(f"### {name}, medians of {arguments.rounds} rounds",
                       ["", "first byte, ms", "quartiles", "x floor", "PSS, KiB"], rows), flush=True)
    return values, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sides.add_arguments(parser)
    parser.add_argument("--only", choices=sorted(MACHINES), action="append", help="only this configuration")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.smoke else 21)
    sides.skip_without_kvm()
    found = sides.find(arguments)
    everything, missing = {}, []
    for name, machine in MACHINES.items():
        if arguments.only and name not in arguments.only:
            continue
        try:
            with devices_of(machine) as complete:
                everything[name], failed = compare(name, complete, found, arguments)
        except NoTap as error:
            print(f"no row {name}: {error}")
            continue
        missing += [f"{label} ({name})" for label in failed]
    report.finish(arguments.json, everything, missing)


if __name__ == "__main__":
    main()
