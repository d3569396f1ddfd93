# SPDX-License-Identifier: Apache-2.0
"""A container whose runtime is older than Landlock and forbids every system call that it does not know."""


def cases(lab):
    usual = lab.load("sandbox")
    lab.case("old-container", usual.guest(lab, by=usual.OLD_CONTAINER),
             usual.works(lab, usual.page(missing=[usual.WITHOUT]) + usual.NO_RING), nest=True)
