# SPDX-License-Identifier: Apache-2.0
"""Runs a program on a pseudo-terminal, as a user would, and notes when each byte arrives."""
import dataclasses
import os
import pathlib
import pty
import re
import select
import signal
import tempfile
import time
import tty

CHUNK = 4096


class DidNotRun(Exception):
    """The program ended, or its time was up, before it had said all that was expected."""


@dataclasses.dataclass
class Transcript:
    """What came, and when: the bytes up to lengths[i] were there at times[i] ns after the start."""
    text: bytes
    lengths: list
    times: list
    pss_kib: int

    def arrival(self, position):
        """Nanoseconds from the start of the program to the byte at `position`."""
        return next(at for length, at in zip(self.lengths, self.times) if length > position)


def read_pss(pid):
    """The program's share of memory in KiB. Unlike RSS it counts pages that it shares with others in part."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1])


def run(argv, last, timeout=20, note=lambda pid, text: None):
    """Runs the program until it has said `last`, looks at its memory, ends it. Calls `note` when there is more text."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    with tempfile.TemporaryFile() as errors:
        started = time.monotonic_ns()
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, slave, 0), (os.POSIX_SPAWN_DUP2, slave, 1),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2), (os.POSIX_SPAWN_CLOSE, master)])
        os.close(slave)
        try:
            transcript = listen(master, last, started, timeout, lambda text: note(pid, text))
            if last not in transcript.text:
                errors.seek(0)
                raise DidNotRun(f"{' '.join(argv)}\n    said {transcript.text[-200:]!r}, "
                                f"on stderr {errors.read()[-400:].decode(errors='replace').strip()!r}")
            transcript.pss_kib = read_pss(pid)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(master)
    return transcript


def listen(master, last, started, timeout, note):
    transcript = Transcript(b"", [], [], 0)
    end = time.monotonic() + timeout
    while last not in transcript.text and time.monotonic() < end:
        if not select.select([master], [], [], max(0, end - time.monotonic()))[0]:
            break
        try:
            data = os.read(master, CHUNK)
        except OSError:  # EIO: nobody has the terminal open any more
            break
        transcript.times.append(time.monotonic_ns() - started)
        transcript.text += data
        transcript.lengths.append(len(transcript.text))
        note(transcript.text)
    return transcript
