# SPDX-License-Identifier: Apache-2.0
"""One run of the real program with the hostile guest in it, and what /proc says of the process meanwhile."""
import collections
import contextlib
import ctypes
import dataclasses
import os
import pathlib
import signal
import subprocess
import threading
import time

MILLISECOND = 1_000_000  # in ns
Vitals = collections.namedtuple("Vitals", "anonymous_kib descriptors threads")


@dataclasses.dataclass
class Round:
    cases: int = 0
    failed: int = 0
    vitals: Vitals | None = None


@dataclasses.dataclass
class Run:
    """What happened; judge.py says whether it was right."""
    names: list = dataclasses.field(default_factory=list)  # without those of a round before
    failures: list = dataclasses.field(default_factory=list)  # (name, reason)
    rounds: list = dataclasses.field(default_factory=list)
    other_lines: list = dataclasses.field(default_factory=list)
    busy: dict = dataclasses.field(default_factory=dict)  # name of a thread: ns of CPU time while all was idle
    rests: int = 0  # cases after which somebody looked for a thread that spins
    spinning: list = dataclasses.field(default_factory=list)  # (name of the case, of the thread)
    log: list = dataclasses.field(default_factory=list)  # lines of standard error
    exit_code: int | None = None
    timed_out: bool = False


def own_threads(folder):
    """Without the kernel's helpers of io_uring, which come and go, and a disk's, which come when it is slow, 4 at most."""
    for task in (folder / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if not (task / "comm").read_text().startswith(("iou-wrk-", "disk-pool")):
                yield task


def descriptors(folder):
    """Without the io_uring of a disk, which comes when it is needed, once."""
    names = []
    for each in (folder / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(each))
    return len([name for name in names if name != "anon_inode:[io_uring]"])


def vitals(pid):
    folder = pathlib.Path("/proc", str(pid))
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Vitals(int(status["RssAnon"].split()[0]), descriptors(folder), len([*own_threads(folder)]))


def devices_threads(pid):
    """(name, folder) of each thread but vCPUs: the guest waits by looking again and again."""
    for task in pathlib.Path("/proc", str(pid), "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one of io_uring's, gone
            name = (task / "comm").read_text().strip()
            if not name.startswith("vcpu"):
                yield f"{name} ({task.name})", task


def cpu_times(pid):
    """{thread: ns on a CPU so far}"""
    times = {}
    for name, task in devices_threads(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            times[name] = int((task / "schedstat").read_text().split()[0])
    return times


def runnable(pid):
    """Threads that have a CPU or wait for one: proc_pid_stat(5), field 3."""
    for name, task in devices_threads(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if (task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "R":
                yield name


def busy_while_idle(pid, seconds):
    before = cpu_times(pid)
    time.sleep(seconds)
    after = cpu_times(pid)
    return {name: after[name] - before.get(name, 0) for name in after}


def spinning(pid, patience=1.0, window=0.004, most=0.25):
    """Names of the threads that find no rest: in each window they ran for more than this part, or still want to."""
    end = time.monotonic() + patience
    while True:
        began = time.monotonic_ns()
        ran = busy_while_idle(pid, window)
        limit = (time.monotonic_ns() - began) * most
        restless = {*(name for name, ns in ran.items() if ns > limit), *runnable(pid)}
        if not restless or time.monotonic() > end:
            return restless


def environment():
    """AddressSanitizer's options in addition to those that are set."""
    mine = dict(os.environ)
    # Freed memory that is kept for long would look like a leak.
    mine["ASAN_OPTIONS"] = ":".join(filter(None, [mine.get("ASAN_OPTIONS"), "quarantine_size_mb=1"]))
    return mine


def die_with_parent():
    """Runs in the child: a guest that waits for its host would wait for ever if this script were killed."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def take(line, run, current):
    words = line.split()
    if words[:1] == ["case"] and len(words) >= 3:
        again = run.rounds and words[1] in run.names
        if not again and not words[1].startswith("row00."):  # no breach: what follows all of them
            run.names.append(words[1])
        if words[2] != "ok":
            run.failures.append((words[1], " ".join(words[3:])))
        current.cases += 1
        return False
    if words[:1] == ["round"] and len(words) == 6:
        current.cases, current.failed = int(words[3]), int(words[5])
        return True
    run.other_lines.append(line)
    return False


def watch(process, run, rounds, idle):
    current = Round()
    for line in process.stdout:
        if line.startswith("rest "):
            run.rests += 1
            run.spinning += [(line.split()[1], thread) for thread in spinning(process.pid)]
            process.stdin.write("n")
            process.stdin.flush()
            continue
        if not take(line.rstrip("\n"), run, current):
            continue
        current.vitals = vitals(process.pid)
        run.rounds.append(current)
        current = Round()
        if len(run.rounds) == rounds:
            run.busy = busy_while_idle(process.pid, idle)
        process.stdin.write("n")
        process.stdin.flush()


def run(command, *, rounds, idle=0.4, timeout=100, pass_fds=()):
    """Starts it, follows what the guest says, and gives the Run. The guest waits for a byte after each round."""
    result = Run()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", env=environment(), pass_fds=pass_fds, preexec_fn=die_with_parent) as process:  # runs: our own
        def give_up():
            result.timed_out = True
            process.kill()
        timer = threading.Timer(timeout, give_up)
        logger = threading.Thread(target=lambda: result.log.extend(process.stderr.read().splitlines()))
        timer.start()
        logger.start()
        try:
            watch(process, result, rounds, idle)
        except (BrokenPipeError, ProcessLookupError, FileNotFoundError):
            pass  # it ended too early: the exit code says so
        process.wait()
        timer.cancel()
        logger.join()
    result.exit_code = process.returncode
    return result
