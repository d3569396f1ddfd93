# SPDX-License-Identifier: Apache-2.0
"""100 MB each way, over a tap with each kind of ring and over passt."""

SIZE = 100_000_000


def cases(lab):
    short = lab.load("net")
    short.taps_case(lab, "taps100M", SIZE, limit=900)
    short.user_case(lab, "user100M", SIZE, limit=900)
