# SPDX-License-Identifier: Apache-2.0
"""Guest memory of several sizes and kinds, and that all of it can be used."""

MIB = 1024  # KiB


def has(least, most, touched):
    def check(r):
        r.exits(0)
        r.number("memory", "kib", least=least * MIB, most=most * MIB)
        r.says("touch", mib=touched, bad=0)
    return check


def with_hugepages(guest):
    """The host's pool holds 2 MiB pages for 256 MiB and is given back."""
    return (f"echo 130 >/proc/sys/vm/nr_hugepages\n{guest}\ncode=$?\n"
            "grep HugePages_ /proc/meminfo\necho 0 >/proc/sys/vm/nr_hugepages\nexit $code")


def cases(lab):
    steps = "memory,touch:150,off"
    small = has(180, 256, 150)
    lab.case("96M", lab.vmm(steps="memory,touch:20,off", memory="96M"), has(40, 96, 20))
    lab.case("512M-prefault", lab.vmm(steps="memory,touch:350,off", memory="size=512M,prefault=on"), has(400, 512, 350))
    lab.case("hugepages", with_hugepages(lab.vmm(steps=steps, memory="size=256M,hugepages=on")), small, root=True)
    lab.case("shared", lab.vmm(steps=steps, memory="size=256M,shared=on"), small)
    # What was in the file is not in RAM.
    lab.case("file", "head -c 16777216 /dev/zero | tr '\\0' w >ram\ntruncate -s 256M ram\n" + lab.vmm(steps=steps, memory="size=256M,file=ram"), small)
    lab.case("hugetlbfs", with_hugepages("mkdir huge && mount -t hugetlbfs none huge\n" +
                                         lab.vmm(steps=steps, memory="size=256M,file=huge/ram") +
                                         "\ncode=$?\nrm huge/ram && umount huge\n(exit $code)"), small, root=True)
