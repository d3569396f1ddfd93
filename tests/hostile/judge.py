# SPDX-License-Identifier: Apache-2.0
"""What a run must have been like: the half of the verdict that a guest cannot see."""
ALL_GOOD = 40  # the guest's exit code; guest/main.cpp
MOST_LOG_LINES = 12
MOST_GROWTH_KIB = 256  # from one round of all cases to the next
MOST_BUSY_NS = 20_000_000  # of a thread that has nothing to do, in the time that was watched


def growth(rounds):
    """From one round to the next, and over all of them."""
    pairs = [*zip(rounds, rounds[1:]), *([(rounds[0], rounds[-1])] if len(rounds) > 2 else [])]
    for before, after in pairs:
        grown = after.vitals.anonymous_kib - before.vitals.anonymous_kib
        if grown > MOST_GROWTH_KIB:
            yield f"memory grew by {grown} KiB from one round to another"
        if after.vitals.descriptors > before.vitals.descriptors:
            yield f"descriptors grew from {before.vitals.descriptors} to {after.vitals.descriptors}"
        if after.vitals.threads > before.vitals.threads:
            yield f"threads grew from {before.vitals.threads} to {after.vitals.threads}"


def complaints(run, *, rounds, at_least, warm_up=0, rests=0):
    """What is wrong with `run`, a text each; none if all is well. What the first `warm_up` rounds take is not growth; after
    at least `rests` cases a spinning thread must have been looked for."""
    if run.timed_out:
        yield "the run did not end"
    yield from (f"{name}: {reason}" for name, reason in run.failures)
    if not run.timed_out and run.exit_code != ALL_GOOD:
        yield f"the exit code is {run.exit_code}, not {ALL_GOOD}"
    if len(run.rounds) != rounds:
        yield f"{len(run.rounds)} of {rounds} rounds were finished"
    if len(run.names) < at_least:
        yield f"only {len(run.names)} cases were run, at least {at_least} were promised"
    if len(set(run.names)) != len(run.names):
        yield "two cases have the same name"
    if len({each.cases for each in run.rounds}) > 1:
        yield "the rounds had different numbers of cases"
    yield from growth(run.rounds[warm_up:])
    for name, ns in run.busy.items():
        if ns > MOST_BUSY_NS:
            yield f"thread {name} ran for {ns / 1e6:.1f} ms while there was nothing to do"
    if run.rests < rests:
        yield f"a spinning thread was looked for after {run.rests} cases, at least {rests} were promised"
    yield from (f"{name}: thread {thread} finds no rest" for name, thread in run.spinning)
    if len(run.log) > MOST_LOG_LINES:
        yield f"{len(run.log)} log lines, at most {MOST_LOG_LINES} are all right"
