#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gives one device all the work that there is, and ends the VMM meanwhile: that must not take longer than without.

stop.py --vmm PROGRAM --guest ELF --device KIND [--seconds N]
Exit code 0: all is well, 1: it is not, 77: this host cannot run it.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

import hostile
import vmm_under_test

TOLD_TO_END = 128 + signal.SIGTERM
DISK_BYTES = 600 << 20  # sparse: as long as the longest request of guest/cases_work.cpp


def command(options, folder, nets):
    disk = os.path.join(folder, "disk.img")
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    return [options.vmm, "run", "--kernel", options.guest, "--memory", "1G", "--disk", f"path={disk}",
            *(flag for number, net in enumerate(nets) for flag in net.flags(f"52:54:00:12:34:{56 + number}")),
            *hostile.OTHER_DEVICES, "--cmd-line", f"device={options.device} stop=1"]


def stop(process, limit):
    """Twice, as somebody does who will not wait for the guest; the seconds until it is gone, or None."""
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)  # two signals of one number at once are one
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        return None
    return time.monotonic() - began


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vmm", required=True)
    parser.add_argument("--guest", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--seconds", type=float, default=10, help="that it may take; a fraction of one on a machine that is idle")
    return parser.parse_args()


def main():
    options = arguments()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("skipped: /dev/kvm cannot be used")
        return hostile.SKIPPED
    nets = hostile.open_taps()
    if options.device == "net" and not nets:
        print("skipped: the network device is tested on a tap interface only")
        return hostile.SKIPPED
    with tempfile.TemporaryDirectory(prefix="vmm-stop-") as folder:
        with subprocess.Popen(command(options, folder, nets), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env=vmm_under_test.environment(), pass_fds=[fd for net in nets for fd in net.fds],
                              preexec_fn=vmm_under_test.die_with_parent) as process:  # runs: our own
            said = process.stdout.readline()
            time.sleep(0.3)  # for the device to be in the midst of it
            took = stop(process, options.seconds) if said == "busy\n" else 0
    print(f"the guest said {said!r}; exit code {process.returncode} after "
          f"{'more than the limit' if took is None else format(took, '.2f') + ' s'}")
    return 0 if said == "busy\n" and took is not None and process.returncode == TOLD_TO_END else 1


if __name__ == "__main__":
    sys.exit(main())
