#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy 19 over every source file of a compile database, as many at a time as there are CPUs.

tidy.py BUILD [REGEX [CHECKS]]   only files whose path matches REGEX; CHECKS are added to those of .clang-tidy

Most of its time goes into headers. So a room that is compiled as one ("unity build") is looked at as one, and where
REGEX matches one of its files, all of them are looked at.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time


UNITY_CHECKS = "-bugprone-suspicious-include"  # including .cpp files is what they are for


def sources(path):
    """The source files that a compilation is about."""
    if "/Unity/" not in path:
        return [path]
    return re.findall(r'^#include "(.*)"$', pathlib.Path(path).read_text(), re.MULTILINE)


def ours(path, root, pattern):
    """Files that the build made (precompiled headers, header checks) are not ours to mend."""
    path = pathlib.Path(path)
    return (path.suffix == ".cpp" and path.is_relative_to(root) and not path.is_relative_to(root / "build")
            and re.search(pattern, str(path)))


def look(build, path, checks):
    if "/Unity/" in path:
        checks = f"{checks},{UNITY_CHECKS}"
    began = time.monotonic()
    done = subprocess.run(["clang-tidy-19", "--quiet", f"--checks={checks}", "-p", build, path], capture_output=True,
                          text=True)
    return path, done.returncode, done.stdout + ("" if done.returncode == 0 else done.stderr), time.monotonic() - began


def main(build, pattern="", checks=""):
    root = pathlib.Path.cwd()
    commands = json.loads(pathlib.Path(build, "compile_commands.json").read_text())
    paths = {path for path in {c["file"] for c in commands} if any(ours(source, root, pattern) for source in sources(path))}
    # The long ones first, so that no CPU waits for a straggler at the end.
    size = {path: sum(pathlib.Path(source).stat().st_size for source in sources(path)) for path in paths}
    paths = sorted(paths, key=lambda path: -size[path])
    bad, slow = 0, []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, code, text, seconds in pool.map(lambda path: look(build, path, checks), paths):
            slow.append((seconds, path))
            if code != 0:
                bad += 1
                print(text.strip())
    for seconds, path in sorted(slow, reverse=True)[:5]:
        print(f"  {seconds:5.1f} s {os.path.relpath(path)}")
        count = sum(len(sources(path)) for path in paths)
    print(f"clang-tidy: {count} files in {len(paths)} runs, {bad} with findings")
    return 1 if bad or not paths else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
