# SPDX-License-Identifier: Apache-2.0
"""Many vCPUs. One emulated CPU runs them all, so this takes minutes in the nest."""


def online(count, packages=1):
    def check(r):
        r.exits(0)
        r.says("cpus", count=count, online=f"0-{count - 1}")
        r.says("topology", packages=packages, cores=count, threads=count)
    return check


def cases(lab):
    for count, limit in ((8, 300), (32, 1200)):
        lab.case(f"{count}", lab.vmm(steps="cpus,topology,off", cpus=count, memory="512M"), online(count), limit=limit)
