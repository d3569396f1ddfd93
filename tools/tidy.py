#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy 19 over every source file of a compile database, as many at a time as there are CPUs.

tidy.py BUILD [REGEX [CHECKS]]   only files whose path matches REGEX; CHECKS are added to those of .clang-tidy
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time


def look(build, path, checks):
    began = time.monotonic()
    done = subprocess.run(["clang-tidy-19", "--quiet", f"--checks={checks}", "-p", build, path], capture_output=True,
                          text=True)
    return path, done.returncode, done.stdout + ("" if done.returncode == 0 else done.stderr), time.monotonic() - began


def main(build, pattern="", checks=""):
    root = pathlib.Path.cwd()
    commands = json.loads(pathlib.Path(build, "compile_commands.json").read_text())
    # Files that the build made (precompiled headers, header checks) are not ours to mend.
    paths = sorted({c["file"] for c in commands if c["file"].endswith(".cpp")
                    and pathlib.Path(c["file"]).is_relative_to(root)
                    and not pathlib.Path(c["file"]).is_relative_to(root / "build")})
    paths = [path for path in paths if re.search(pattern, path)]
    # The long ones first, so that no CPU waits for a straggler at the end.
    paths.sort(key=lambda path: -pathlib.Path(path).stat().st_size)
    bad, slow = 0, []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, code, text, seconds in pool.map(lambda path: look(build, path, checks), paths):
            slow.append((seconds, path))
            if code != 0:
                bad += 1
                print(text.strip())
    for seconds, path in sorted(slow, reverse=True)[:5]:
        print(f"  {seconds:5.1f} s {os.path.relpath(path)}")
    print(f"clang-tidy: {len(paths)} files, {bad} with findings")
    return 1 if bad or not paths else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
