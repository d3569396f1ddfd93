# SPDX-License-Identifier: Apache-2.0
"""Interleaved rounds, medians, ratios, and tables that can go into a README as they are."""
import json
import random
import statistics
import sys

from terminal import DidNotRun


def interleave(measures, rounds):
    """{name: [value, ...]} of `measures` ({name: function}), each called once a round in an order that changes.

    Who runs after whom changes too (the end of a machine lasts longer than its process and would always disturb the
    same one); one round before is not counted, it fills the caches. A name that does not run is told and left out.
    """
    order = random.Random(1)
    values = {name: [] for name in measures}
    failed = {}
    for count in range(rounds + 1):
        names = [name for name in measures if name not in failed]
        order.shuffle(names)
        for name in names:
            try:
                value = measures[name]()
            except DidNotRun as error:
                failed[name] = str(error)
                continue
            if count:
                values[name].append(value)
    for name, why in failed.items():
        print(f"{name} did not run: {why}")
        del values[name]
    return values, sorted(failed)


def median(values):
    return statistics.median(values)


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def table(title, columns, rows):
    """A Markdown table with aligned columns; the first column is text, the others numbers."""
    cells = [columns, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    def line(row):
        return "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w)
                                 for i, (c, w) in enumerate(zip(row, widths))) + " |"
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([f"{title}\n" if title else "", line(columns), rule, *map(line, rows)]).lstrip("\n") + "\n"


def save(path, data):
    path.write_text(json.dumps(data, indent=1) + "\n")


def finish(path, values, missing):
    """Keeps the values if somebody asked for it; ends the program as one that failed if a side did not run."""
    if path:
        save(path, values)
    if missing:
        sys.exit("did not run: " + ", ".join(missing))
