"""More than one vCPU: all online, and arranged as asked."""

from nest.case import COMPLAINT


def online(count, **shape):
    def check(r):
        r.exits(0)
        r.says("cpus", count=count, online=f"0-{count - 1}")
        r.says("topology", **shape)
        r.says_nothing(COMPLAINT)
    return check


def cases(lab):
    lab.case("two", lab.vmm(steps="cpus,topology,kmsg:3,off", cpus=2), online(2, packages=1, cores=2, threads=2),
             limit=120)
    # Threads, cores, dies, packages.
    lab.case("two-by-two", lab.vmm("--cpus", "boot=4,topology=2:1:1:2", steps="cpus,topology,kmsg:3,off", cpus=4),
             online(4, packages=2, cores=2, threads=4), limit=180)
