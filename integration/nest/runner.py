# SPDX-License-Identifier: Apache-2.0
"""Runs cases and gives back what each left: in the nest, or directly on a host with hardware KVM."""
import base64
import io
import math
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import tarfile
import threading
import time

from nest import machine
from nest.case import Host, Result

PATIENCE = float(os.environ.get("VMM_NEST_PATIENCE", "1"))  # limits times this, for busy machines
SILENCE = 25  # CPU seconds of the emulator without a sign of life, which L1 gives every two seconds, before it counts as hung
STALL = 30  # seconds beyond a case's limit (or for a boot) after which L1 counts as hung


def hardware_kvm(arch):
    """Whether this host can run a stock guest directly: hardware virtualisation, and we may use it."""
    modules = pathlib.Path("/sys/module")
    hardware = arch == "aarch64" or (modules / "kvm_intel").exists() or (modules / "kvm_amd").exists()
    return arch == platform.machine() and hardware and os.access("/dev/kvm", os.R_OK | os.W_OK)


def session_members(session):
    """Processes of a session that are still alive: proc_pid_stat(5), state and session after the name."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[3]) == session and fields[0] != "Z":
            yield int(stat.parent.name)


def cpu_seconds(pid):
    """CPU time of a process with all its threads so far: proc_pid_stat(5), utime and stime."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pulse:
    """Tells from L1's signs of life whether it still runs programs.

    Silence is counted in CPU time of the emulator: a busy host does not stretch that, and an L1 that hangs with
    interrupts off uses it up as fast as it can.
    """

    def __init__(self, limit):
        self.limit, self.last = limit, None

    def beat(self, cpu):
        self.last = cpu

    def rest(self):
        """No signs of life are expected until the next beat."""
        self.last = None

    def stopped(self, cpu):
        return self.last is not None and cpu - self.last > self.limit


def end_session(session):
    """Kills until nobody is left: a process may fork while its siblings are being killed."""
    for _ in range(500):
        members = list(session_members(session))
        if not members:
            return
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def wrong_architecture(case, arch):
    """Why a case is not for an architecture; empty when it is."""
    return f"for {case.only.arch} only: {case.only.because}" if case.only and case.only.arch != arch else ""


class Direct:
    """On this very host: hardware KVM, no emulation."""

    name = "direct"

    def __init__(self, lab, out, busybox=None):
        """The scripts of cases get busybox's applets before this host's programs, as in L1."""
        self.lab, self.out = lab, pathlib.Path(out).resolve()
        self.files = self.out / "t"
        self.files.mkdir(parents=True, exist_ok=True)
        for name, source in lab.files.items():
            (self.files / name).unlink(missing_ok=True)
            (self.files / name).symlink_to(source)
        self.path = os.environ["PATH"]
        if busybox:
            applets = self.out / "applets"
            shutil.rmtree(applets, ignore_errors=True)
            applets.mkdir()
            subprocess.run([str(busybox), "--install", "-s", str(applets)], check=True)  # runs: our own
            self.path = f"{applets}:{self.path}"

    def refuses(self, case):
        """Why a case cannot run here; empty when it can."""
        if case.nest or case.host.qemu or case.host.append or case.host.kernel != Host().kernel:
            return "needs a machine of its own: runs in the nest"
        if case.root and os.getuid() != 0:
            return "needs root"
        return wrong_architecture(case, self.lab.arch)

    def run(self, cases):
        for case in cases:
            yield self.one(case)

    def one(self, case):
        folder, work = self.out / case.name, self.out / (case.name + ".work")
        for path in (folder, work):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        began = time.monotonic()
        note = ""
        with open(folder / "out", "wb") as out, open(folder / "err", "wb") as err:
            process = subprocess.Popen(["sh", "-c", case.script], cwd=work, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=err, start_new_session=True,
                                       env={**os.environ, "PATH": self.path, "T": str(self.files), "O": str(folder)})
            try:
                code = process.wait(case.limit * PATIENCE)
            except subprocess.TimeoutExpired:
                code, note = None, f"no end after {case.limit * PATIENCE:.0f} s"
            finally:
                end_session(process.pid)
                process.wait()
        shutil.rmtree(work, ignore_errors=True)
        return Result(case.name, code, time.monotonic() - began, folder, note)


class Nest:
    """In QEMU's software emulation of a machine with hardware virtualisation. Needs no /dev/kvm."""

    name = "nest"

    def __init__(self, lab, out, deterministic=False):
        self.lab, self.out, self.deterministic = lab, pathlib.Path(out), deterministic
        self.boots = 0
        self.numbering = threading.Lock()

    def refuses(self, case):
        if self.deterministic and (case.host.qemu or case.host.cpus != 1):
            return "deterministic time is for one CPU without disks"
        return wrong_architecture(case, self.lab.arch)

    def run(self, cases):
        """Boots L1 as often as it takes: a case that takes L1 down fails, those after it run in the next.

        L1 itself hangs now and then, whichever monitor runs guests in it. So a case that it was lost with
        gets one more chance, said aloud: one that takes L1 down by itself does so twice.
        """
        left = list(cases)
        lost = set()
        while left:
            before = len(left), len(lost)
            for result in self.boot(left):
                if result.lost and result.name not in lost:
                    lost.add(result.name)
                    print(f"once more: {result.name} ({result.note})", flush=True)
                    continue
                left = [case for case in left if case.name != result.name]
                yield result
            if (len(left), len(lost)) == before:
                for case in left:
                    yield Result(case.name, None, 0, self.out / case.name, f"L1 did not come up: see {self.out}")
                return

    def boot(self, cases):
        with self.numbering:
            self.boots += 1
            folder = self.out / f"l1-{self.boots}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        patient = [Patient(case) for case in cases]
        host, initramfs, channel = cases[0].host, folder / "initramfs", folder / "channel"
        machine.write_initramfs(initramfs, host, self.lab, patient)
        channel.touch()
        command = machine.command(self.lab.arch, host, initramfs, f"file:{folder}/console.log", channel,
                                  self.deterministic)
        with open(folder / "qemu.log", "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)  # runs: qemu-system-x86_64 qemu-system-aarch64
            try:
                yield from self.follow(process, folder, {case.name: case for case in patient})
            finally:
                end_session(process.pid)
                process.wait()
                initramfs.unlink()

    def follow(self, process, folder, cases):
        """Reads the result channel while L1 runs."""
        current, encoded, partial = None, [], ""
        cpu = began = 0.0
        # With counted instructions two seconds of L1 are many more of the emulator's, and L1 does not hang.
        pulse = Pulse(math.inf if self.deterministic else SILENCE)
        deadline = time.monotonic() + STALL * PATIENCE
        with open(folder / "channel", "r", errors="replace") as channel:
            while True:
                if process.returncode is None:
                    cpu = cpu_seconds(process.pid)
                ended = process.poll() is not None
                chunk = channel.read()
                for line in (partial + chunk).splitlines(keepends=True):
                    partial = ""
                    if not line.endswith("\n"):
                        partial = line
                    elif line.startswith("@begin "):
                        current, encoded, began = line.split()[1], [], cpu
                        pulse.beat(cpu)
                        deadline = time.monotonic() + cases[current].limit + STALL * PATIENCE
                    elif line.startswith("@alive"):
                        pulse.beat(cpu)
                    elif line.startswith("@end "):
                        yield self.result(line, encoded, cpu - began)
                        current, deadline = None, time.monotonic() + STALL * PATIENCE
                    elif line.startswith("@done"):
                        return
                    elif current:
                        pulse.rest()  # it hands back what the case left
                        encoded.append(line)
                stalled = time.monotonic() > deadline or pulse.stopped(cpu)
                if chunk or not (ended or stalled):
                    time.sleep(0.05)
                    continue
                if current:
                    why = "L1 hung" if stalled else f"L1 ended (QEMU's exit code {process.returncode})"
                    yield Result(current, None, 0, self.out / current, f"{why}: see {folder}", lost=True)
                return

    def result(self, line, encoded, cpu):
        _, name, code, began, ended = line.split()
        folder = self.out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode("".join(encoded)))) as files:
            files.extractall(folder)
        note = "no end within its time" if (folder / "timed-out").exists() else ""
        return Result(name, int(code), float(ended) - float(began), folder, note, cpu=cpu)


class Patient:
    """A case with its limit stretched for a busy machine."""

    def __init__(self, case):
        self.name, self.script, self.limit = case.name, case.script, int(case.limit * PATIENCE)


def safe(name):
    """A case's name is a folder's name and a word on the result channel."""
    return re.fullmatch(r"[A-Za-z0-9._+-]+", name) is not None
