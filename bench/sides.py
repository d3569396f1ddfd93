# SPDX-License-Identifier: Apache-2.0
"""Who is compared: the sides of a benchmark, how each is called, and where its program comes from."""
import argparse
import dataclasses
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "vmm"
ALIOTH_VERSION = "0.12.0"
KVM_GET_API_VERSION = 0xAE00
SKIPPED = 77  # CTest's SKIP_RETURN_CODE


@dataclasses.dataclass(frozen=True)
class Machine:
    """What each side is asked for."""
    memory_mib: int = 128
    cpus: int = 1
    command_line: str = ""
    disk: str = ""  # a raw file, through the host's page cache
    tap: str = ""  # a persistent tap interface
    more: bool = False  # an entropy source, and a virtio console where the side has one
    worker: str = ""  # Alioth: which of its ways to wait


def floor(program, kernel, machine):
    return [program, "--memory", str(machine.memory_mib), "--cpus", str(machine.cpus), kernel]


def vmm(program, kernel, machine):
    return [program, "run", "--kernel", kernel, "--memory", f"{machine.memory_mib}M", "--num-cpu", str(machine.cpus),
            *option("--cmd-line", machine.command_line), *option("--disk", machine.disk, "path={}"),
            *option("--net", machine.tap, "tap={}"),
            *(["--rng", "--console", "file=/dev/null"] if machine.more else [])]


def alioth(program, kernel, machine):
    worker = f",api={machine.worker}" if machine.worker else ""
    return [program, "boot", "--pvh", kernel, "--memory", f"size={machine.memory_mib}M", "--cpu",
            f"count={machine.cpus}", *option("--cmdline", machine.command_line),
            *option("--blk", machine.disk, "file,path={}" + worker),
            *option("--net", machine.tap, "tap,mac=52:54:00:9a:00:02,mtu=1500,qp=1,tap=/dev/net/tun,if={}" + worker),
            *(["--entropy"] if machine.more else [])]


def qemu(program, kernel, machine):
    # Without arch-capabilities: a KVM without hardware virtualisation refuses the MSR that goes with it.
    devices = machine.disk or machine.tap
    call = [program, "-M", "microvm,pcie=on" if devices else "microvm", "-accel", "kvm", "-cpu",
            "host,-arch-capabilities", "-m", f"{machine.memory_mib}M", "-smp", str(machine.cpus), "-nodefaults",
            "-no-user-config", "-nographic", "-serial", "stdio", "-kernel", kernel,
            *option("-append", machine.command_line)]
    if machine.disk:
        call += ["-object", "iothread,id=io", "-drive",
                 f"if=none,id=disk,file={machine.disk},format=raw,aio=io_uring,cache=writeback", "-device",
                 "virtio-blk-pci,drive=disk,iothread=io,disable-legacy=on"]
    if machine.tap:
        call += ["-netdev", f"tap,id=net,ifname={machine.tap},script=no,downscript=no,vhost=off", "-device",
                 "virtio-net-pci,netdev=net,disable-legacy=on"]
    if machine.more:
        call += ["-device", "virtio-rng-pci,disable-legacy=on", "-device", "virtio-serial-pci,disable-legacy=on",
                 "-chardev", "null,id=console", "-device", "virtconsole,chardev=console"]
    return call


def option(name, value, form="{}"):
    """Nothing if the machine has no such thing."""
    return [name, form.format(value)] if value else []


CALLS = {"floor": floor, "vmm": vmm, "alioth": alioth, "qemu": qemu}
LABELS = {"qemu": "QEMU microvm", "alioth": "Alioth"}


@dataclasses.dataclass(frozen=True)
class Side:
    name: str
    program: str

    @property
    def label(self):
        return LABELS.get(self.name, self.name)

    def call(self, kernel, machine=Machine()):
        return CALLS[self.name](self.program, str(kernel), machine)


def add_arguments(parser):
    parser.add_argument("--vmm", help="the program under test; without it the floor and the peers run alone")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/dev/bench",
                        help="where floor and payloads were built (default: %(default)s)")
    parser.add_argument("--qemu", help="a QEMU (default: qemu-system-x86_64 on PATH)")
    parser.add_argument("--alioth", help="an Alioth (default: alioth on PATH)")
    parser.add_argument("--with-alioth", action="store_true",
                        help=f"build alioth-cli {ALIOTH_VERSION} with cargo into {CACHE}/alioth unless it is there")
    parser.add_argument("--without", action="append", default=[], choices=("qemu", "alioth"), help="leave a peer out")
    parser.add_argument("--rounds", type=positive, help="how often each side runs")
    parser.add_argument("--smoke", action="store_true",
                        help="few rounds, no judgement of times: does each side run and is each number there?")
    parser.add_argument("--json", type=pathlib.Path, help="write every single value to this file")


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def build_alioth():
    """The program; cargo downloads and compiles it the first time (a minute or two)."""
    root = CACHE / "alioth"
    program = root / "bin/alioth"
    if not program.exists():
        if not shutil.which("cargo"):
            sys.exit("--with-alioth needs cargo: install it, or give a program with --alioth")
        print(f"building alioth-cli {ALIOTH_VERSION} with cargo into {root}", file=sys.stderr)
        subprocess.run(["nice", "cargo", "install", "alioth-cli", "--version", ALIOTH_VERSION, "--locked", "-j1",
                        "--root", str(root)], check=True)
    return str(program)


def find(arguments):
    """The sides that this machine has, the floor first. A program that was named must exist."""
    named = {"floor": str(arguments.build / "floor"), "vmm": arguments.vmm,
             "alioth": arguments.alioth or (build_alioth() if arguments.with_alioth else None),
             "qemu": arguments.qemu}
    usual = {"alioth": "alioth", "qemu": "qemu-system-x86_64"}
    found = []
    for name, program in named.items():
        if name in arguments.without:
            continue
        if program and not (shutil.which(program) and pathlib.Path(program).is_file()):
            sys.exit(f"{name}: {program} is not a program" +
                     ("; build the target vmm_bench" if name == "floor" else ""))
        program = program or shutil.which(usual.get(name, ""))
        if program:
            found.append(Side(name, program))
        else:
            print(f"{LABELS.get(name, name)} is not here and left out", file=sys.stderr)
    return found


def skip_without_kvm(device="/dev/kvm"):
    """Ends the program with a reason where nothing can be measured."""
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        print(f"skipped: {device}: {error.strerror}")
        sys.exit(SKIPPED)
    try:
        fcntl.ioctl(descriptor, KVM_GET_API_VERSION, 0)
    except OSError as error:
        print(f"skipped: {device} is not KVM: {error.strerror}")
        sys.exit(SKIPPED)
    finally:
        os.close(descriptor)
