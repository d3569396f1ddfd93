#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the tests that ran, and fails when some failed or there are fewer than were promised.

count_tests.py STAGE FILE...   FILE: JUnit of ctest in its build folder, or the JSON summary of the nest
Reads tools/test-floor.txt. Skipped tests do not count, so a test that quietly stopped running is noticed.
What failed tests said is repeated on standard error.
"""
import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

LINES_OF_FAILED = 25
FLOOR = pathlib.Path(__file__).with_name("test-floor.txt")


def listed(build):
    """{test: (its labels, where GoogleTest leaves its results or None)}; ctest 3.25 writes neither into its JUnit file."""
    out = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True, capture_output=True).stdout
    tests = {}
    for test in json.loads(out)["tests"]:
        properties = {p["name"]: p["value"] for p in test["properties"]}
        words = (word.partition("=") for word in properties.get("ENVIRONMENT", []))
        results = [value.partition(":")[2] for name, _, value in words if name == "GTEST_OUTPUT"]
        tests[test["name"]] = set(properties.get("LABELS", [])), results[0] if results else None
    return tests


def of_google_test(path):
    """[passed, failed, skipped] of a program that ran many cases."""
    columns = [0, 0, 0]
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None:
            columns[1] += 1
        elif case.get("result") == "completed":
            columns[0] += 1
        elif case.get("result") == "skipped":
            columns[2] += 1
    return columns


def columns_of(case, results):
    """A process that ends before it has written its results is one failure, whatever it ran."""
    column = {"run": 0, "fail": 1, "notrun": 2, "disabled": 2}.get(case.get("status"), 1)
    if case.find("skipped") is not None:
        column = 2
    counted = [int(column == i) for i in range(3)]
    if results and column == 0:
        return of_google_test(results)
    if results and column == 1 and pathlib.Path(results).exists():
        found = of_google_test(results)
        return [found[0], max(found[1], 1), found[2]]
    return counted


def of_ctest(path):
    """{label: [passed, failed, skipped]}, the label "all" for the sum."""
    counts, tests = {}, listed(path.parent)
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        labels, results = tests.get(case.get("name"), (set(), None))
        columns = columns_of(case, results)
        for name in labels | {"all"}:
            counts[name] = [a + b for a, b in zip(counts.get(name, [0, 0, 0]), columns)]
    return counts


def last_lines_of_failed(path):
    """What the failed tests said last. The end of a stage's log is shown, and these ran anywhere before it."""
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        if case.get("status") == "fail":
            said = (case.findtext("system-out") or "").splitlines()
            yield from [f"{case.get('name')} failed; the end of what it said:", *said[-LINES_OF_FAILED:]]


def of_nest(path):
    summary = json.loads(path.read_text())
    return {"all": [summary["passed"], summary["failed"], summary["skipped"]]}


def floors(stage):
    """{label: least number of tests} for one stage."""
    lines = (line.split("#")[0].split() for line in FLOOR.read_text().splitlines())
    return {name.partition(".")[2] or "all": int(number)
            for name, number in (words for words in lines if words) if name.partition(".")[0] == stage}


def main(stage, *files):
    counts, findings = {}, []
    for name in files:
        path = pathlib.Path(name)
        if not path.exists():
            continue  # the stage broke before its tests: it has failed already
        if path.suffix == ".xml":
            findings += last_lines_of_failed(path)
        for label, columns in (of_ctest(path) if path.suffix == ".xml" else of_nest(path)).items():
            counts[label] = [a + b for a, b in zip(counts.get(label, [0, 0, 0]), columns)]
    total = counts.get("all", [0, 0, 0])
    without_kvm = not os.access("/dev/kvm", os.R_OK | os.W_OK) and "kvm" in counts
    if without_kvm:
        print(f"{stage}: no usable /dev/kvm here: the tests that need it are skipped", file=sys.stderr)
    for label, least in floors(stage).items():
        if without_kvm and label == "kvm":
            continue
        if without_kvm and label == "all":
            least -= sum(counts["kvm"])
        passed, failed, _ = counts.get(label, [0, 0, 0])
        if passed + failed < least:
            findings.append(f"{stage}.{label}: {passed + failed} tests ran, at least {least} should (tools/test-floor.txt)")
    print(*total)
    for text in findings:
        print(text, file=sys.stderr)
    return 1 if findings or total[1] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
