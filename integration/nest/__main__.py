# SPDX-License-Identifier: Apache-2.0
"""Runs scenarios: PYTHONPATH=integration python3 -m nest [options] SCENARIO...

SCENARIO is a file of integration/scenarios without .py ("boot"), a path to such a file, "all" (those that every
CI run has) or "long" (those that take too long for that).
"""
import argparse
import json
import pathlib
import queue
import re
import subprocess
import sys
import threading

from images import catalog, debian
from nest import runner
from nest.case import Failed
from nest.lab import SCENARIOS, Lab, scenario

def arguments():
    parser = argparse.ArgumentParser(prog="nest", description=__doc__)
    parser.add_argument("scenario", nargs="+")
    parser.add_argument("--vmm", required=True, help="the program under test")
    parser.add_argument("--runner", choices=("auto", "nest", "direct"), default="auto",
                        help="auto: directly where there is hardware KVM")
    parser.add_argument("--arch", choices=sorted(runner.machine.ARCHITECTURES), default="x86_64")
    parser.add_argument("--deterministic", action="store_true", help="count instructions instead of time")
    parser.add_argument("--only", default="", help="cases whose name matches this regular expression")
    parser.add_argument("--jobs", type=int, default=1, help="machines at a time")
    parser.add_argument("--out", default="build/nest", help="folder for logs and what the cases hand back")
    parser.add_argument("--summary", help="file for the counts, as JSON")
    return parser.parse_args()


def files(names):
    for name in names:
        if name in ("all", "long"):
            yield from sorted((SCENARIOS / "long" if name == "long" else SCENARIOS).glob("*.py"))
        elif name.endswith(".py"):
            yield pathlib.Path(name)
        else:
            path = SCENARIOS / f"{name}.py"
            if not path.exists():
                known = sorted(p.relative_to(SCENARIOS).with_suffix("") for p in SCENARIOS.rglob("*.py"))
                raise debian.Missing(f"no scenario {name}; there are: {' '.join(map(str, known))}")
            yield path


def load(paths, lab):
    for path in paths:
        lab.scenario = path.stem if path.parent.name != "long" else f"long-{path.stem}"
        scenario(path).cases(lab)
    names = [case.name for case in lab.cases]
    bad = [name for name in names if names.count(name) > 1 or not runner.safe(name)]
    if bad:
        raise debian.Missing(f"case names that are taken twice or cannot be file names: {bad}")


def batches(cases, jobs):
    """Cases that share a host share a boot; a big group is dealt out to the jobs."""
    groups = {}
    for case in cases:
        groups.setdefault(case.host, []).append(case)
    for group in groups.values():
        for job in range(min(jobs, len(group))):
            yield group[job::jobs]


def verdict(case, result):
    """("ok" or "FAIL", what was wrong)"""
    if result.note:
        return "FAIL", result.note
    try:
        case.check(result)
    except Failed as failure:
        return "FAIL", str(failure)
    except Exception as broken:  # a line of another form than the check can take
        return "FAIL", f"the check itself ended with {broken!r}"
    return "ok", ""


def tail(text, lines=12):
    return "".join(f"      | {line}\n" for line in text.rstrip().splitlines()[-lines:])


class Report:
    def __init__(self):
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}
        self.cpu = 0.0
        self.lock = threading.Lock()

    def add(self, word, name, detail="", result=None):
        with self.lock:
            self.counts[word] += 1
            seconds = f"{result.seconds:6.1f} s" if result else ""
            if result and result.cpu is not None:
                seconds += f" (CPU {result.cpu:5.1f} s)"
                self.cpu += result.cpu
            print(f"{word:4} {name:32} {seconds} {detail}".rstrip())
            if word == "FAIL" and result:
                # The reason once more: of a long log people see the end.
                print(f"      stdout:\n{tail(result.out)}      stderr:\n{tail(result.err)}"
                      f"      all of it: {result.folder}\n      because: {detail}")
            sys.stdout.flush()


def work(todo, run, report):
    while True:
        try:
            batch = todo.get_nowait()
        except queue.Empty:
            return
        by_name = {case.name: case for case in batch}
        for result in run(batch):
            word, detail = verdict(by_name.pop(result.name), result)
            report.add(word, result.name, detail, result)
        for name in by_name:
            report.add("FAIL", name, "no result")


def main():
    options = arguments()
    if not pathlib.Path(options.vmm).is_file():
        raise debian.Missing(f"{options.vmm} is not there: build it first (cmake --build --preset release)")
    lab = Lab(options.vmm, pathlib.Path(options.out) / "made", options.arch)
    with catalog.lock():
        load(files(options.scenario), lab)
    direct = runner.hardware_kvm(options.arch) if options.runner == "auto" else options.runner == "direct"
    how = (runner.Direct(lab, options.out, catalog.busybox(options.arch)) if direct
           else runner.Nest(lab, options.out, options.deterministic))
    print(f"scenarios run {'directly on this host' if direct else 'in an emulated machine'}; logs: {options.out}")
    report, todo, cases = Report(), queue.Queue(), []
    for case in lab.cases:
        if not re.search(options.only, case.name):
            continue
        reason = how.refuses(case)
        if reason:
            report.add("skip", case.name, reason)
        else:
            cases.append(case)
    for batch in batches(cases, options.jobs):
        todo.put(batch)
    threads = [threading.Thread(target=work, args=(todo, how.run, report)) for _ in range(options.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = report.counts
    if options.summary:
        pathlib.Path(options.summary).write_text(json.dumps(
            {"passed": counts["ok"], "failed": counts["FAIL"], "skipped": counts["skip"]}))
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] or not counts["ok"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (debian.Missing, subprocess.CalledProcessError) as error:
        sys.exit(f"nest: {error}")
