# SPDX-License-Identifier: Apache-2.0
"""What a scenario says: cases, what they need, and what must hold afterwards."""
import dataclasses
import pathlib
import re
import shlex
from typing import Callable

# An error in the guest kernel's log (step kmsg) that says something about its machine. u-root asks for control
# groups of version 1, which the kernel no longer has.
COMPLAINT = r"^@test kmsgline (?!.*cgroup: Unknown subsys).*$"


# A message of the guest's kernel in the midst of a step's line: both write to one console.
TANGLED = re.compile(r"^((?:@test|flood) .*?)(\[ *\d+\.\d{6}\] .*)\n", re.M)


def untangled(text):
    """The same with such messages on lines of their own, in front of the one that they cut in two."""
    while True:
        text, count = TANGLED.subn(r"\2\n\1", text)
        if count == 0:
            return text


class Failed(Exception):
    """A case did not hold; the text says what was seen and what was expected."""


@dataclasses.dataclass(frozen=True)
class Only:
    """The one architecture that a case is for, and why."""
    arch: str
    because: str


@dataclasses.dataclass(frozen=True)
class Host:
    """The machine that the VMM runs on: L1 in the nest. Cases with equal hosts share one boot."""
    memory: int = 2048           # MiB
    cpus: int = 1                # more than one emulated CPU now and then corrupts L1
    modules: tuple = ("loop", "tun", "dummy", "dm_mod", "dm_flakey")
    qemu: tuple = ()             # further QEMU arguments: disks, an IOMMU, a network
    append: str = ""             # further kernel parameters
    kernel: str = "6.12"         # a series of catalog.SERIES


class Result:
    """What a case left behind, and the checks on it."""

    def __init__(self, name, exit_code, seconds, folder, note="", lost=False, cpu=None):
        self.name, self.exit_code, self.seconds, self.note = name, exit_code, seconds, note
        self.cpu = cpu    # seconds that the emulator ran for it, whatever else ran on this host; None without one
        self.lost = lost  # the machine that it ran on hung or ended
        self.folder = pathlib.Path(folder)
        self.out = untangled(self.text("out"))
        self.err = self.text("err")

    def text(self, name):
        """A file that the case wrote to $O, without carriage returns; empty if it is not there."""
        path = self.folder / name
        return path.read_bytes().decode(errors="replace").replace("\r", "") if path.is_file() else ""

    def require(self, holds, text):
        if not holds:
            raise Failed(text)

    def exits(self, code):
        self.require(self.exit_code == code, f"exit code {self.exit_code}, expected {code}")

    def fine(self, err=""):
        """The guest powered off, its kernel (steps pcicheck and kmsg:3) and the VMM no more to say than `err` matches."""
        self.exits(0)
        self.says("pcicheck", odd=0)
        self.step("kmsg")
        self.says_nothing(COMPLAINT)
        self.require(re.fullmatch(err, self.err.strip()), f"stderr has {self.err[:2000]!r}, expected {err!r}")

    def steps(self, name):
        """The fields of each "@test NAME key=value ..." line of the guest."""
        lines = re.findall(rf"@test {re.escape(name)}(?: (.*))?$", self.out, re.M)
        return [dict(word.split("=", 1) for word in shlex.split(line) if "=" in word) for line in lines]

    def step(self, name, at=None):
        """The last line of a step; with `at`, the last one that is about that device or place."""
        found = [fields for fields in self.steps(name)
                 if at is None or fields.get("at") == at or fields.get("of", "").startswith(at)]
        about = f"step {name}" + (f" at {at}" if at else "")
        self.require(found, f"the guest did not print a line for {about}")
        self.require("failed" not in found[-1], f"{about} failed in the guest: {found[-1].get('failed')}")
        return found[-1]

    def says(self, name, at=None, **fields):
        """The guest's line for this step has these fields with these values."""
        seen = self.step(name, at)
        for key, value in fields.items():
            self.require(seen.get(key) == str(value),
                         f"step {name}{f' at {at}' if at else ''}: {key}={seen.get(key)}, expected {value}")

    def number(self, name, key, least=None, most=None, at=None):
        seen = self.step(name, at).get(key, "")
        self.require(re.fullmatch(r"-?\d+", seen), f"step {name}: {key}={seen!r} is not a number")
        value = int(seen)
        self.require(least is None or value >= least, f"step {name}: {key}={value}, expected at least {least}")
        self.require(most is None or value <= most, f"step {name}: {key}={value}, expected at most {most}")
        return value

    def prints(self, pattern, where="out"):
        text = getattr(self, where) if where in ("out", "err") else self.text(where)
        self.require(re.search(pattern, text, re.M), f"{where} does not match {pattern!r}")

    def says_nothing(self, pattern, where="out"):
        text = getattr(self, where) if where in ("out", "err") else self.text(where)
        found = re.search(pattern, text, re.M)
        self.require(not found, f"{where} has {found and found[0]!r}")

    def prints_once(self, pattern, where="out"):
        text = getattr(self, where) if where in ("out", "err") else self.text(where)
        found = re.findall(pattern, text, re.M)
        self.require(len(found) == 1, f"{where} has {len(found)} lines that match {pattern!r}, expected 1")


@dataclasses.dataclass(frozen=True)
class Case:
    """A shell script, run in a session of its own on the host that it asks for.

    In the script $T is the folder of files that the scenario put there, $O a folder whose files are
    handed back, and the current folder is empty. Standard input is /dev/null, standard output and
    error are kept as $O/out and $O/err. Whatever it leaves running is killed.
    """
    name: str
    script: str
    check: Callable[[Result], None]
    limit: int = 90              # seconds
    host: Host = Host()
    root: bool = False           # only root can do this on a real host; in the nest everything is root
    only: Only = None            # what another architecture does not have, or has otherwise
    nest: bool = False           # about the nest's kernel, or changes how it is set up


def quote(word):
    """For a shell script, with $T and $O left to the shell."""
    word = str(word)
    if "$T" not in word and "$O" not in word:
        return shlex.quote(word)
    return '"' + re.sub(r'(["\\`]|\$(?![TO]\b))', r"\\\1", word) + '"'


def command(*words):
    return " ".join(quote(word) for word in words)
