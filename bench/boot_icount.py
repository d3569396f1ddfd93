#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Start-up of a stock Linux guest in counted instructions: from exec of the VMM to the guest's init, and to its end.

    bench/boot_icount.py --vmm build/release/cli/vmm [--with-alioth] [--kernel elf612] [--repeat 2]

counted.py says what a count is. Another build of the same program moves the number by up to a percent.
"""
import argparse
import pathlib
import sys
import tempfile

import counted
import report
import sides

from images import cpio  # counted has made integration/ known
from nest.lab import KERNELS, Lab

MARK = "init is up"
COMMAND_LINE = "console=ttyS0 quiet panic=-1"


def vmm(program, kernel, initramfs, elf):
    return [program, "run", "--kernel", kernel, "--initramfs", initramfs, "--cmd-line", COMMAND_LINE,
            "--memory", "256M", "--num-cpu", "1"]


def alioth(program, kernel, initramfs, elf):
    return [program, "boot", "--pvh" if elf else "--kernel", kernel, "--initramfs", initramfs, "--cmdline",
            COMMAND_LINE, "--memory", "size=256M", "--cpu", "count=1"]


CALLS = {"vmm": vmm, "alioth": alioth}


def count(side, kernel, arguments, folder):
    """(millions of counts to init, to the end) of one boot of an emulated machine that holds this side alone."""
    lab = Lab(side.program, folder / "made")
    program = lab.program(side.program, side.name)
    with tempfile.TemporaryDirectory() as work:
        guest = pathlib.Path(work) / "guest.cpio"
        with cpio.Archive(guest) as archive:
            archive.file("init", arguments.build / "init")
        argv = CALLS[side.name](program, lab.kernel(kernel), lab.put(guest), kernel.startswith("elf"))
        script = counted.timed(lab, arguments.build / "stopwatch", MARK, argv)
        counts = counted.count(lab, folder, f"{side.name}.{kernel}", script)
    return counts.to_mark / 1e6, counts.to_end / 1e6, counts.exit_code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sides.add_arguments(parser)
    parser.add_argument("--kernel", choices=[k for k in KERNELS["x86_64"] if k.endswith("612")], default="deb612")
    parser.add_argument("--repeat", type=sides.positive, default=1, help="boots a side; all must give the same number")
    parser.add_argument("--out", type=pathlib.Path, default=sides.ROOT / "build/bench-icount", help="folder for logs")
    arguments = parser.parse_args()
    found = [side for side in sides.find(arguments) if side.name in CALLS]
    rows, everything, bad = [], {}, []
    for side in found:
        try:
            runs = [count(side, arguments.kernel, arguments, arguments.out / f"{side.name}-{i}")
                    for i in range(arguments.repeat)]
        except counted.NoCount as error:
            bad.append(f"{side.label} left no number: {error}")
            continue
        everything[side.label] = runs
        if len(set(runs)) > 1:
            bad.append(f"{side.label} gave different numbers: {runs}")
        if runs[0][2] != 0:
            bad.append(f"{side.label} ended with exit code {runs[0][2]}")
        first = everything[found[0].label][0][0] if found[0].label in everything else None
        rows.append([side.label, f"{runs[0][0]:.1f}", f"{runs[0][1]:.1f}", f"{runs[0][0] / first:.3f}" if first else "-"])
    print(report.table(f"### exec to init in the emulated machine, {KERNELS['x86_64'][arguments.kernel]().name}"
                       f"{' (the ELF in it)' if arguments.kernel.startswith('elf') else ''}, millions of counts",
                       ["", "to init", "to the end", f"x {found[0].label if found else ''}"], rows))
    if arguments.json:
        report.save(arguments.json, everything)
    if bad or not rows:
        sys.exit("\n".join(bad) or "nothing to count: give --vmm, --alioth or --with-alioth")


if __name__ == "__main__":
    main()
