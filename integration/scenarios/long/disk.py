# SPDX-License-Identifier: Apache-2.0
"""The VMM is killed again and again, each time at another moment, while the guest makes records stable."""


def cases(lab):
    short = lab.load("disk")
    lab.case("killed50", short.kill_script(lab, 50), short.survives(50), limit=1800)
