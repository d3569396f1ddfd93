# SPDX-License-Identifier: Apache-2.0
"""More memory than lies below the hole at 4 GiB."""
from nest.lab import Host

MIB = 1024  # KiB


def large(r):
    r.exits(0)
    r.number("memory", "kib", least=5800 * MIB, most=6144 * MIB)
    r.says("touch", mib=4500, bad=0)


def cases(lab):
    lab.case("6G", lab.vmm(steps="memory,touch:4500,off", memory="6G"), large, limit=600, host=Host(memory=8192))
