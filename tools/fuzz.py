#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every fuzzer of a folder for some seconds: fuzz.py FOLDER SECONDS [REGEX]

What a fuzzer finds worth keeping goes to the cache folder, outside the tree, and is where the next run starts; files
that every run is to try lie in a folder NAME_corpus beside the fuzzer's source. Crashes are left in build/crash.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys


def run(fuzzer, seconds):
    name = fuzzer.name.removesuffix("_fuzz")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "vmm/corpus" / name
    crash = pathlib.Path("build/crash")
    for folder in (cache, crash):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = [str(path) for path in pathlib.Path(".").glob(f"*/**/{name}_corpus") if "build" not in path.parts]
    done = subprocess.run([fuzzer, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=1",
                           f"-artifact_prefix={crash}/{name}-", cache, *seeds],
                          capture_output=True, text=True, errors="replace")  # runs: our own
    runs = re.search(r"Done (\d+) runs", done.stderr)
    return name, done.returncode, int(runs[1]) if runs else 0, done.stderr


def main(folder, seconds, pattern=""):
    fuzzers = sorted(path for path in pathlib.Path(folder).glob("*_fuzz") if re.search(pattern, path.name))
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, code, runs, log in pool.map(lambda fuzzer: run(fuzzer, seconds), fuzzers):
            print(f"{'ok  ' if code == 0 and runs else 'FAIL'} {name:24} {runs:9} runs")
            if code != 0 or not runs:
                bad += 1
                print(log[-6000:])
    print(f"fuzz: {len(fuzzers)} fuzzers, {bad} failed")
    return 1 if bad or not fuzzers else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
