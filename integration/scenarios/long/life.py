# SPDX-License-Identifier: Apache-2.0
"""The same thing many times: one process that reboots, and one process after another."""


def all_starts(count):
    def check(r):
        r.exits(0)
        r.require(len(r.steps("up")) == count, f"{len(r.steps('up'))} starts, expected {count}")
    return check


def cases(lab):
    turns = [("^@test ready", "echo reboot")] * 20
    lab.case("reboot20", lab.talk(lab.vmm(steps="ask"), *turns, ("^@test ready", "echo off")), all_starts(21),
             limit=900)
    lab.case("boot20", "for i in $(seq 20); do\n" + lab.vmm(steps="off") + " || exit\ndone", all_starts(20), limit=900)
