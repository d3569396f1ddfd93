# SPDX-License-Identifier: Apache-2.0
"""More than one vCPU: all online, and arranged as asked. The default topology is looked at in net.py's taps."""

from nest.case import COMPLAINT
from nest.lab import Only

APIC = Only("x86_64", "it is about APIC ids")


def online(count, **shape):
    def check(r):
        r.exits(0)
        r.says("cpus", count=count, online=f"0-{count - 1}")
        r.says("topology", **shape)
        r.says_nothing(COMPLAINT)
    return check


# Counts that are not powers of two leave gaps: the first CPU of the last package has 256 as its APIC id, the last one
# 292, and Linux uses ids from 255 on in x2APIC mode only. No fewer vCPUs have such an id. An emulated machine cannot run
# so many, so Linux starts the first one and some whose ids matter; all of them are there for it.
SPARSE = {99: 228, 100: 256, 124: 292}


def sparse(r):
    r.exits(0)
    for cpu, apic_id in SPARSE.items():
        r.says("online", str(cpu), apicid=apic_id)
    r.says("cpus", count=4, online="0,99-100,124", present="0-124")
    r.says("topology", packages=3, cores=4, threads=4)
    r.says("pin", cpu=124)
    r.number("clock", "slept_ms", least=1000, most=3000)  # its timer interrupts come
    r.says_nothing(COMPLAINT)


def sparse_case(lab):
    brought_up = ",".join(f"online:{cpu}" for cpu in SPARSE)
    lab.case("sparse", lab.vmm("--cpus", "boot=125,topology=1:5:5:5", cpus=125, memory="512M",
                               append="quiet panic=-1 maxcpus=1",
                               steps=f"{brought_up},cpus,topology,pin:124,clock,kmsg:3,off"), sparse, limit=180)


def cases(lab):
    lab.only(APIC, sparse_case, "sparse")
    # Threads, cores, dies, packages.
    lab.case("two-by-two", lab.vmm("--cpus", "boot=4,topology=2:1:1:2", steps="cpus,topology,kmsg:3,off", cpus=4),
             online(4, packages=2, cores=2, threads=4), limit=180)
