# SPDX-License-Identifier: Apache-2.0
"""Debian packages fetched and unpacked into a cache folder, never installed.

`search` and `fetch` ask the machine's own apt. With a `suite` (for example bookworm-backports) they
use apt lists of their own, kept in the cache: the address is taken from the machine's own bookworm
source, so that a mirror stays a mirror, and nothing under /etc changes.
"""
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# The cache may lie in a home that apt's own user cannot enter.
SANDBOX = ["-o", "APT::Sandbox::User=root"] if os.getuid() == 0 else []
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "vmm"


class Missing(Exception):
    """Something is not to be had; the text says what to do."""


def bookworm_source():
    """The machine's own entry for bookworm: (address, components, Signed-By or None)."""
    parts = pathlib.Path("/etc/apt/sources.list.d")
    for path in sorted(parts.glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.M))
            if fields.get("Enabled", "yes") != "no" and "bookworm" in fields.get("Suites", "").split():
                return fields["URIs"].split()[0], fields.get("Components", "main"), fields.get("Signed-By")
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(parts.glob("*.list"))]:
        if not path.exists():
            continue
        found = re.search(r"^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+bookworm\s+(.+)$", path.read_text(), re.M)
        if found:
            signed = re.search(r"signed-by=(\S+)", found[1] or "")
            return found[2], found[3].split("#")[0].strip(), signed[1] if signed else None
    raise Missing("no bookworm entry in /etc/apt: this needs a Debian 12 package source")


@functools.lru_cache(maxsize=None)
def private_apt(suite):
    """apt options that see just `suite`, with lists that live in our cache."""
    address, components, signed = bookworm_source()
    root = CACHE / "apt" / suite
    for folder in ("lists/partial", "cache/archives/partial", "state", "parts"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    option = f" [signed-by={signed}]" if signed else ""
    (root / "sources.list").write_text(f"deb{option} {address} {suite} {components}\n")
    (root / "status").touch()
    options = ["-o", f"Dir::Etc::SourceList={root}/sources.list", "-o", f"Dir::Etc::SourceParts={root}/parts",
               "-o", f"Dir::State={root}/state", "-o", f"Dir::State::Lists={root}/lists",
               "-o", f"Dir::State::Status={root}/status", "-o", f"Dir::Cache={root}/cache"]
    options += SANDBOX
    print(f"== reading the package lists of {suite} from {address}", file=sys.stderr)
    subprocess.run(["apt-get", "update", "-q", "-o", "Acquire::Retries=3", *options], check=True,
                   stdout=subprocess.DEVNULL)
    return options


def update():
    """The machine's own lists; needs root."""
    print("== reading the machine's package lists (apt-get update)", file=sys.stderr)
    command = ["apt-get", "update", "-q"]
    if os.getuid() != 0:
        command = ["sudo", *command]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def search(pattern, suite=None):
    """Names that match the extended regular expression, in the order of their versions."""
    options = private_apt(suite) if suite else []
    out = subprocess.run(["apt-cache", *options, "search", "--names-only", pattern], check=True,
                         capture_output=True, text=True).stdout
    names = [line.split()[0] for line in out.splitlines()]
    return sorted((n for n in names if re.search(pattern, n)),
                  key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


@functools.lru_cache(maxsize=None)  # a second of the processor each time, and asked for by each guest of a scenario
def newest(pattern, suite=None):
    """The newest name that matches, from the lists, or from the cache where the lists have none."""
    names = search(pattern, suite)
    if not names and suite is None:
        cached = [p.name for p in (CACHE / "packages").glob("*") if re.search(pattern, p.name)]
        names = sorted(cached, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    if not names and suite is None:
        update()
        names = search(pattern)
    if not names:
        raise Missing(f"no package matches {pattern}: are the sources for "
                      f"{suite or 'bookworm and bookworm-security'} in /etc/apt?")
    return names[-1]


def fetch(name, suite=None):
    """The folder that the package's content lies in; downloads it the first time."""
    root = CACHE / "packages" / name
    if root.exists():
        return root
    print(f"== fetching package {name} into {root}", file=sys.stderr)
    options = private_apt(suite) if suite else []
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        work = pathlib.Path(folder)
        command = ["apt-get", "download", "-q", "-o", "Acquire::Retries=3", *SANDBOX, *options, name]
        if subprocess.run(command, cwd=work, stdout=subprocess.DEVNULL).returncode != 0:
            if suite:
                raise Missing(f"{name} cannot be downloaded from {suite}")
            update()  # the lists may name a version that has left the archive
            subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["dpkg", "-x", next(work.glob("*.deb")), work / "root"], check=True)
        try:
            (work / "root").rename(root)
        except OSError:  # another process was faster
            if not root.exists():
                raise
    return root


def tool(name):
    """Path of a program, or an error that names what brings it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Missing(f"{name} is missing: run ./do setup nest")
    return path
