# SPDX-License-Identifier: Apache-2.0
"""The sandbox on each kind of host: the default takes what there is, says what is missing, and the machine works.

Debian 12 has no kernel newer than 6.12: Landlock above ABI 6 is for the unit tests, on whatever kernel they run.
"""
import re

from nest.lab import TOOLS, Host, Only, around

MODULES = ("virtio_blk", "virtio_net")
SIZE = 128 << 10  # bytes each way through the tap

USUAL = ("no new privileges", "no capabilities")
NAMESPACES = "namespaces: mount (an empty root), ipc, uts, net"
FILTERS = "a filter of system calls for each thread"
ABI2 = ("truncating files", "TCP ports", "ioctls of devices", "abstract sockets and signals")
NO_LANDLOCK = "this kernel has no Landlock, it is switched off, or a container forbids it"
WITHOUT = f"Landlock ({NO_LANDLOCK})"
NO_RING = (r"\n\S+ \S+ \[vmm\] \[warning\] io_uring cannot be used \(io_uring_setup: Operation not permitted "
           r"\(errno 1\)\): disks are served by threads, which is slower")


def page(*landlock, first=(), missing=()):
    """A pattern for what --sandbox-report prints."""
    return re.escape("\n".join(["vmm: sandbox:", *(f"  {line}" for line in (*first, *USUAL, *landlock, FILTERS)),
                                *(f"  missing: {line}" for line in missing)]))


def guest(lab, by="", before=""):
    """A disk and a tap at work; `by` is what starts it."""
    net, disk = lab.load("net"), lab.load("disk")
    lab.peer()
    steps = (f"addr:eth0:10.77.0.2/24,carrier:eth0:1,{net.traffic('10.77.0.1', SIZE)},{disk.work('vda')},"
             "pcicheck,kmsg:3,off")
    command = by + lab.vmm("--net", "tap=tap0", "--sandbox-report", modules=MODULES, disks=("file",), steps=steps)
    return around("\n".join((before, "truncate -s 8M file", net.TAP, net.PEER)), command,
                  disk.worked("file", "file") + "tunctl -d tap0 >/dev/null")


def works(lab, err):
    net, disk = lab.load("net"), lab.load("disk")

    def check(r):
        r.fine(err)
        net.moved(r, "10.77.0.1", SIZE)
        disk.has_worked(r, "vda", "file")
    return check


def strict(lab):
    return lab.vmm("--sandbox", "strict", "--sandbox-report", steps="pcicheck,kmsg:3,off")


def refuses(why, advice):
    def check(r):
        r.exits(1)
        r.prints(rf"\Aerror: --sandbox strict: {re.escape(why)}\n  help: {advice}.*\n\Z", "err")
        r.says_nothing("@test")
    return check


def no_passt(r):
    """passt has a sandbox of its own, which no container's default lets it have."""
    r.exits(1)
    r.prints(r"^error: --net: net0: user network: passt may not create its sandbox \(", "err")
    r.prints(r"^  help: .* the container's seccomp profile\), or use a tap", "err")


CONTAINER = "$T/peer contained "
OLD_CONTAINER = "$T/peer contained-by-old "


def container_passt(lab):
    lab.tool("passt")
    lab.case("container-passt", f"{lab.load('net').USER}\n{CONTAINER}{lab.vmm('--net', 'user')}", no_passt, nest=True)


OLDER = Only("x86_64", "one kernel is enough where a boot costs more")


def older_kernel(lab):
    older = Host(kernel="6.1")
    lab.case("abi2", guest(lab),
             works(lab, page("Landlock ABI 2", missing=[f"Landlock for {gap}" for gap in ABI2])), host=older)
    lab.case("abi2-strict", strict(lab), refuses("Landlock of this kernel (ABI 2) does not restrict " + ", ".join(ABI2),
                                                 "Use Linux 6.12 or later"), host=older)


def cases(lab):
    lab.case("abi6", guest(lab), works(lab, page("Landlock ABI 6")), nest=True)
    lab.case("strict", strict(lab), lambda r: r.fine(page("Landlock ABI 6", first=[NAMESPACES])), nest=True)

    lab.case("container", guest(lab, by=CONTAINER), works(lab, page("Landlock ABI 6") + NO_RING), nest=True)
    lab.case("container-strict", CONTAINER + "$T/peer as 1000 " + strict(lab),
             refuses("make a user namespace: unshare: Operation not permitted (errno 1)",
                     "Allow unprivileged user namespaces on this host .*the container's seccomp profile"), nest=True)
    lab.only(TOOLS, container_passt, "container-passt")
    # Of a runtime that is older than Landlock; long/sandbox.py has a guest in it.
    lab.case("old-container-strict", OLD_CONTAINER + strict(lab), refuses(NO_LANDLOCK, "Use Linux 6.12 or later"),
             nest=True)

    lab.only(OLDER, older_kernel, "abi2", "abi2-strict")

    # Neither of the two that a host may well lack.
    bare = Host(append="lsm=yama")
    lab.case("bare", guest(lab, before="echo 2 >/proc/sys/kernel/io_uring_disabled"),
             works(lab, page(missing=[WITHOUT]) + NO_RING), host=bare)
    lab.case("bare-strict", strict(lab), refuses(NO_LANDLOCK, "Use Linux 6.12 or later with landlock in its list"),
             host=bare)
