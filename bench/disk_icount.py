#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one disk request costs in counted instructions of guest, VMM and host kernel together, one request at a time.

    bench/disk_icount.py --vmm build/release/cli/vmm [--with-alioth] [--only "4 KiB read"]

A stock kernel with virtio_blk does the same request some hundred times, past its own cache (O_DIRECT); the disk is a
raw file in memory (tmpfs). counted.py says what a count is. Few and many requests are counted, each in a machine of
its own, from the line that says that they begin to the line that says that they are done; the difference is shared out.
"""
import argparse
import dataclasses
import pathlib
import shutil
import sys
import tempfile

import counted
import report
import sides

from nest.lab import KERNELS, Lab  # counted has made integration/ known

MARK = "@test repeat "
DISK_MIB = 4
ATTEMPTS = 2
LIMIT = 60  # seconds of the emulated machine for one guest; it takes seven


@dataclasses.dataclass(frozen=True)
class Request:
    name: str
    write: int
    kib: int
    few: int
    many: int

    def command_line(self, number):
        """The first wait is for what the kernel has put off until after the boot, the last for whoever reads the console."""
        steps = f"wait:2000,repeat:vda:{self.write}:{self.kib}:{number},wait:100,off"
        return f"console=ttyS0 quiet panic=-1 nokaslr vmm.test={steps}"


REQUESTS = (Request("4 KiB read", 0, 4, 300, 1300), Request("4 KiB write", 1, 4, 300, 1300),
            Request("1 MiB read", 0, 1024, 10, 60))


def vmm(program, kernel, initramfs, line):
    return [program, "run", "--kernel", kernel, "--initramfs", initramfs, "--cmd-line", line, "--memory", "256M",
            "--num-cpu", "1", "--disk", "path=disk"]


def alioth(program, kernel, initramfs, line):
    """With io_uring: with its other way to wait, the default, no guest that was tried came to an end in the nest."""
    return [program, "boot", "--kernel", kernel, "--initramfs", initramfs, "--cmdline", line, "--memory", "size=256M",
            "--cpu", "count=1", "--blk", "file,path=disk,api=iouring"]


CALLS = {"vmm": vmm, "alioth": alioth}
LABELS = {"alioth": "Alioth, io_uring"}


def guest(lab, path):
    """u-root and virtio_blk in one archive, for sides that take no second one."""
    with open(path, "wb") as out:
        for name in (lab.initramfs(), lab.modules("virtio_blk")):
            with open(lab.files[name.removeprefix("$T/")], "rb") as part:
                shutil.copyfileobj(part, out)
    return path


def run(side, request, number, arguments, folder):
    """Counts for `number` requests and a little around them."""
    lab = Lab(side.program, folder / "made")
    with tempfile.TemporaryDirectory() as work:
        initramfs = guest(lab, pathlib.Path(work) / "guest.cpio")
        lab.files.clear()
        argv = CALLS[side.name](lab.program(side.program, side.name), lab.kernel("deb612"), lab.put(initramfs),
                                request.command_line(number))
        script = (f"dd if=/dev/zero of=disk bs=1M count={DISK_MIB} 2>/dev/null\n" +
                  counted.timed(lab, arguments.build / "stopwatch", MARK, argv))
        counts = counted.count(lab, folder, f"{side.name}.{number}", script, LIMIT)
    done = f"{MARK}at=vda write={request.write} bytes={request.kib << 10} count={number}"
    said = (folder / f"{side.name}.{number}/guest").read_text(errors="replace")
    if counts.exit_code != 0 or done not in said:
        raise counted.NoCount(f"exit code {counts.exit_code}, the guest said {said[-200:]!r} (all of it: {folder})")
    return counts.to_last - counts.to_mark


def patiently(measure, number):
    """(number, counts); a machine that hung would do so again with the same input, so it gets one request more."""
    for attempt in range(ATTEMPTS):
        try:
            return number + attempt, measure(number + attempt)
        except counted.NoCount as error:
            if attempt == ATTEMPTS - 1:
                raise
            print(f"once more, with {number + attempt + 1} requests: {error}", file=sys.stderr)


def cost(measure, request):
    """Counts for one request."""
    few, before = patiently(measure, request.few)
    many, after = patiently(measure, request.many)
    return (after - before) / (many - few)


def rows(values, requests, peer):
    """Thousands of counts, and how many times the peer's they are."""
    for label, costs in values.items():
        cells = [label]
        for request in requests:
            ours, theirs = costs.get(request.name), values.get(peer, {}).get(request.name)
            cells += [f"{ours / 1e3:.1f}" if ours else "-", f"{ours / theirs:.3f}" if ours and theirs else "-"]
        yield cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sides.add_arguments(parser)
    parser.add_argument("--only", default="", help="requests whose name has this in it")
    parser.add_argument("--out", type=pathlib.Path, default=sides.ROOT / "build/bench-icount", help="folder for logs")
    arguments = parser.parse_args()
    requests = [request for request in REQUESTS if arguments.only in request.name]
    if not requests:
        sys.exit(f"no request has {arguments.only!r} in its name; there are: {', '.join(r.name for r in REQUESTS)}")
    values, bad = {}, []
    for side in (side for side in sides.find(arguments) if side.name in CALLS):
        label = LABELS.get(side.name, side.label)
        values[label] = {}
        for request in requests:
            folder = arguments.out / f"disk-{side.name}-{request.name.replace(' ', '-')}"
            try:
                values[label][request.name] = cost(
                    lambda number: run(side, request, number, arguments, folder / str(number)), request)
            except counted.NoCount as error:
                bad.append(f"{label}, {request.name}: no number: {error}")
    peer = LABELS["alioth"]
    print(report.table(f"### One disk request in the emulated machine, {KERNELS['x86_64']['deb612']().name}, thousands of counts",
                       ["", *(cell for request in requests for cell in (request.name, "x Alioth"))],
                       list(rows(values, requests, peer))))
    if arguments.json:
        report.save(arguments.json, values)
    if bad or not values:
        sys.exit("\n".join(bad) or "nothing to count: give --vmm, --alioth or --with-alioth")


if __name__ == "__main__":
    main()
