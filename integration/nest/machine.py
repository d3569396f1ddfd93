# SPDX-License-Identifier: Apache-2.0
"""The emulated machine: its initramfs and its QEMU command, for each architecture."""
import dataclasses
import pathlib

from images import catalog, cpio, debian

HERE = pathlib.Path(__file__).resolve().parent

# KVM reads the TSC's frequency before Linux has refined it, and the emulated CPU cannot scale it: with the
# tolerance of a real machine a guest's timer may then never fire. Idle polling only burns the emulator's time, also where
# KVM is no module.
MODULE_PARAMETERS = {"kvm.ko": "tsc_tolerance_ppm=50000 halt_poll_ns=0"}

# Programs that give up root's rights look for this user.
USERS = "root:x:0:0::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"


@dataclasses.dataclass(frozen=True)
class Architecture:
    qemu: str
    machine: tuple
    accel: str
    console: str
    channel: str         # what L1 calls the device that leads to QEMU's character device `results`
    port: tuple          # that device
    modules: tuple = ()  # KVM, where it is one
    append: str = ""     # of L1's kernel


ARCHITECTURES = {
    # Without five-level page tables: of a guest's memory accesses in an emulated machine the walks of two nested
    # tables are a good part, and a boot costs a tenth less with four levels in each.
    "x86_64": Architecture(
        qemu="qemu-system-x86_64", machine=("-M", "q35", "-cpu", "max,+svm,+npt,-la57"), accel="tcg,thread=multi",
        console="ttyS0", channel="ttyS1", port=("-serial", "chardev:results"), modules=("kvm_amd",)),
    # Pointers are signed with a quicker function than Arm's, which would take half of the time. A kernel that patches
    # itself gives up some 100 000 translations, one by one, and all threads of the emulator have to agree on each: with
    # one thread a boot costs a fifth less. The board has one serial port.
    "aarch64": Architecture(
        qemu="qemu-system-aarch64", machine=("-M", "virt,virtualization=on,gic-version=3", "-cpu", "max,pauth-impdef=on"),
        accel="tcg,thread=single", console="ttyAMA0", channel="vport0p1",
        port=("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=results"), append="kvm.halt_poll_ns=0"),
}


def write_initramfs(path, host, lab, cases, console=None, setup=None):
    """One uncompressed archive: busybox, our init, modules, the scenarios' files, the cases."""
    with cpio.Archive(path) as out:
        out.file("bin/busybox", catalog.busybox(lab.arch))
        out.file("init", HERE / "l1/init")
        out.text("etc/passwd", USERS)
        order = []
        for name, content in catalog.modules(host.kernel, (*ARCHITECTURES[lab.arch].modules, *host.modules), lab.arch):
            out.text(f"modules/{name}", content)
            order.append(f"{name} {MODULE_PARAMETERS.get(name, '')}".strip())
        out.text("modules/order", "".join(line + "\n" for line in order))
        for name, source in sorted(lab.files.items()):
            out.file(f"t/{name}", source)
        for name, source in sorted(lab.libraries.items()):
            out.file(name.lstrip("/"), source)
        for number, case in enumerate(cases):
            out.text(f"cases/{number:04}/name", case.name)
            out.text(f"cases/{number:04}/limit", str(case.limit))
            out.text(f"cases/{number:04}/run", case.script + "\n")
        if console:
            out.text("console", console)
        if setup:
            out.text("setup", setup)


def command(arch, host, initramfs, console, channel=None, deterministic=False):
    """QEMU's arguments. `console` is a -serial argument, `channel` a file for the results.

    Deterministic: one instruction is one nanosecond of the machine's time, nothing reads the host's clock, so
    the same input gives the same run to the last digit on any host. Only for one CPU and without disks.
    """
    what = ARCHITECTURES[arch]
    line = [f"console={what.console}", "panic=-1", "quiet", f"nest.channel={what.channel}", what.append, host.append]
    words = [debian.tool(what.qemu), *what.machine, "-m", str(host.memory), "-smp", str(host.cpus)]
    if deterministic:
        words += ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-seed", "1",
                  "-rtc", "base=2024-01-01T00:00:00,clock=vm"]
        line.append("nokaslr")
    else:
        words += ["-accel", what.accel]
    words += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", console]
    if channel:
        words += ["-chardev", f"file,id=results,path={channel}", *what.port]
    words += [*host.qemu, "-kernel", str(catalog.kernel(host.kernel, arch)), "-initrd", str(initramfs),
              "-append", " ".join(filter(None, line))]
    return words
