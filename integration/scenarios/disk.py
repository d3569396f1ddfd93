# SPDX-License-Identifier: Apache-2.0
"""Disks: what a guest reads and writes is compared with what lies on the host."""
import hashlib
import random

from images import partitions
from nest.lab import HOST, TOOLS, around

MODULES = ("virtio_blk",)
INDIRECT, EVENT_IDX, VERSION_1, PACKED = 28, 29, 32, 34
MIB = 1 << 20
PART, FILL_AT, FILL = 1, 5, 2  # MiB: what a worker of step churn has, and where step fill writes


def work(disk, workers=1):
    return f"disk:{disk},churn:{disk}:{workers}:60,fill:{disk}:{FILL_AT}:{FILL}:7"


def worked(name, file, workers=1):
    """For the shell: sums of what `work` leaves in a file."""
    return f"host {name}-churn {file} 0 {PART * workers}\nhost {name}-fill {file} {FILL_AT} {FILL}\n"


def same(r, step, disk, name):
    ours, theirs = r.step("host", name)["sha256"], r.step(step, disk)["sha256"]
    r.require(ours == theirs, f"step {step} of {disk}: the guest has {theirs}, the host {ours}")


def has_worked(r, disk, name):
    same(r, "churn", disk, f"{name}-churn")
    same(r, "fill", disk, f"{name}-fill")


def has_ring(r, disk, packed):
    bits = {int(bit) for bit in r.step("disk", disk)["bits"].split(".")}
    r.require({INDIRECT, EVENT_IDX, VERSION_1} <= bits, f"{disk} has features {sorted(bits)}")
    r.require((PACKED in bits) == packed, f"{disk} has features {sorted(bits)}, packed ring expected: {packed}")


def refused(r, disk):
    result = r.step("try", disk)["result"]
    r.require(result in ("EPERM", "EACCES", "EROFS"), f"a write to {disk}: {result}")


def kinds(r):
    r.fine()
    r.says("disk", "vda", ro=1, serial="only-to-read", bytes=5 << 20, queues=1)
    same(r, "sum", "vda", "only-before")
    same(r, "sum", "vda", "only")
    r.says("disk", "vda", discard=0)
    refused(r, "vda")
    r.says("pcicheck", functions=7)
    for disk, name, queues in (("vdb", "file", 1), ("vdc", "loop", 1), ("vdd", "direct", 1), ("vde", "split", 1),
                               ("vdf", "four", 4)):
        r.says("disk", disk, ro=0, bytes=8 << 20, queues=queues)
        has_ring(r, disk, packed=disk != "vde")
        has_worked(r, disk, name)
    for queue in range(4):
        r.number("irqs", "count", least=10, at=f"virtio5-req.{queue}")
        r.says("irqs", f"virtio5-req.{queue}", kind="PCI-MSIX-0000:00:06.0")


def kinds_case(lab):
    before = """set -e
noise only 5; host only-before only
for f in file base split four; do truncate -s 8M $f; done
attach loop base
truncate -s 40M back; $T/mke2fs -q -F -t ext4 back; attach ext-loop back; mkdir ext; mount -t ext4 ext-loop ext
truncate -s 8M ext/direct
set +e"""
    after = "".join(("host only only\n", *(worked(name, name) for name in ("file", "loop", "split")),
                     worked("direct", "ext/direct"), worked("four", "four", 4),
                     "umount ext; losetup -d $(readlink loop); losetup -d $(readlink ext-loop)"))
    lab.tool("mke2fs")
    disks = ("path=only,readonly=on,serial=only-to-read", "path=file", "loop", "path=ext/direct,direct=on",
             "path=split,packed=off,queue_size=16", "path=four,num_queues=4,queue_size=64")
    steps = ["disk:vda,sum:vda,try:vda:3:0", *(work(f"vd{letter}") for letter in "bcde"), work("vdf", 4),
             *(f"irqs:virtio5-req.{queue}" for queue in range(4)), "pcicheck,kmsg:3,off"]
    guest = lab.vmm(modules=MODULES, disks=disks, steps=",".join(steps), cpus=4)
    lab.case("kinds", around(before, guest, after), kinds, limit=150, root=True)


def claimed(r):
    """A device that a file system is mounted from is nobody's to write; the error says what to do."""
    r.exits(2)
    r.prints_once(r"error: disk ext-loop: open: Device or resource busy \(errno 16\)", "err")
    r.prints_once("Something else has claimed the device: unmount it", "err")


def claimed_case(lab):
    lab.tool("mke2fs")
    before = """truncate -s 40M back; $T/mke2fs -q -F -t ext4 back; attach ext-loop back; mkdir ext
mount -t ext4 ext-loop ext"""
    lab.case("claimed", around(before, lab.vmm(disks=("ext-loop",)), "umount ext; losetup -d $(readlink ext-loop)"),
             claimed, root=True)


def intx(controller):
    """Without MSI, one line for all, and still all works; a discard gives the host its blocks back."""
    def check(r):
        r.fine()
        r.says("irqs", "virtio0", kind=controller)
        r.number("irqs", "count", least=50, at="virtio0")
        has_ring(r, "vda", packed=True)
        has_worked(r, "vda", "file")
        r.number("blocks", "kib", least=8 << 10, at="before")
        r.number("blocks", "kib", most=64, at="after")
        r.says("trim", "vdb", bytes=8 << 20, nonzero=0)
        r.says("host", "file-end", sha256=r.step("host", "noise-end")["sha256"])
    return check


def intx_case(lab):
    before = "truncate -s 8M file; noise full 8; blocks before full; noise end 1; cat end >>file; host noise-end end"
    after = worked("file", "file") + "blocks after full\nhost file-end file 8 1"
    guest = lab.vmm(modules=MODULES, disks=("file", "path=full,id=trimmed"), append="quiet panic=-1 pci=nomsi",
                    steps=work("vda") + ",trim:vdb,irqs:virtio0,pcicheck,kmsg:3,off")
    controller = {"x86_64": "IO-APIC", "aarch64": "GICv3"}[lab.arch]
    lab.case("intx-discard", around(before, guest, after), intx(controller))


def ext4(r):
    r.exits(0)
    r.step("mkfs", "vda")
    counts = [line["count"] for line in r.steps("ext4") if "count" in line]
    r.require(counts == ["1", "2", "3"], f"visits {counts}")
    r.prints("^fsck 0$")
    r.says_nothing(r"EXT4-fs (error|warning)")


def ext4_case(lab):
    lab.tool("e2fsck")
    guest = lab.vmm("--initramfs", lab.guest_tools("mke2fs"), modules=MODULES, disks=("image",), steps="ask")
    turns = [("^@test ready", f"echo {line}") for line in
             ("mkfs:vda,ext4:vda,ext4:vda,reboot", "ext4:vda,off")]
    end = "wait $p; code=$?\n$T/e2fsck -fn image; echo fsck $?\nexit $code"
    lab.case("ext4-reboot", "truncate -s 64M image\n" + lab.talk(guest, *turns, end=end), ext4, limit=120)


def resized(r):
    """Each new size reaches the guest, in a running machine and over a reset; what lies beyond it does not exist."""
    r.exits(0)
    seen = [f"{line['at']} {line['bytes']}" for line in r.steps("capacity")]
    expected = ["vda 25165824", "vdb 8388608", "vda 4194304", "vdb 12582912", "vda 9999872", "vda 9999872", "vda 16777216"]
    r.require(seen == expected, f"sizes {seen}, expected {expected}")
    same(r, "fill", "vda", "grown")
    results = [f"{line['what']} {line['kib']} {line['result']}" for line in r.steps("try")]
    r.require(results == ["read 4092 ok", "write 4092 ok"], f"accesses {results}")
    info, warning = r"\[info\] ", r"\[warning\] "
    for line in (info + r"disk0 \(file\): 25165824 bytes, was 8388608", info + r"disk0 \(file\): 4194304 bytes, was 25165824",
                 info + r"disk1 \(loop\): 12582912 bytes, was 8388608", info + r"disk0 \(file\): 9999872 bytes, was 4194304",
                 info + r"disk0 \(file\): 16777216 bytes, was 9999872",
                 warning + r"disk0 \(file\): the last 128 bytes are less than a block; the guest does not see them"):
        r.prints_once(line, "err")
    r.require(len(r.steps("up")) == 2, f"{len(r.steps('up'))} starts, expected 2")


def resize_case(lab):
    """Signals come when nothing has changed, during a reset and at the end, too."""
    before = "truncate -s 8M file base; attach loop base"
    look = "kill -USR1 $p"
    guest = lab.vmm(modules=MODULES, disks=("file", "loop"), steps="ask")
    guest = guest.replace(" run ", " -l info run ", 1)
    turns = [(f"truncate -s 24M file; {look}", "capacity:vda:25165824,capacity:vdb:8388608,fill:vda:20:2:7"),
             (f"host grown file 20 2 >said; truncate -s 4M file; truncate -s 12M base; losetup -c $(readlink loop); {look}",
              "capacity:vda:4194304,capacity:vdb:12582912,try:vda:0:4092,try:vda:1:4092"),
             (f"truncate -s 10000000 file; {look}; {look}", "capacity:vda:9999872"),
             (f"for i in $(seq 100); do {look}; usleep 20000; done &", "reboot"),
             (f"{look}", "capacity:vda:9999872"),
             (f"truncate -s 16M file; {look}", "capacity:vda:16777216,off")]
    end = f"""while {look} 2>/dev/null; do usleep 5000; done
wait $p; code=$?; cat said; losetup -d $(readlink loop); exit $code"""
    lab.case("resize", "\n".join((HOST, before, lab.talk(guest, *(("^@test ready", f"{{ {act}\n}} >&2; echo {steps}")
                                                                for act, steps in turns), end=end))),
             resized, limit=120, root=True)


MANY = 40


def many(r):
    r.fine()
    r.says("disks", count=MANY, different=0, order=".".join(f"disk{i}" for i in range(MANY)))
    r.says("pcicheck", functions=MANY + 1)


def many_case(lab):
    before = f"for i in $(seq 0 {MANY - 1}); do echo disk$i >d$i; truncate -s 1M d$i; done"
    guest = lab.vmm(modules=MODULES, disks=[f"d{i},serial=disk{i}" for i in range(MANY)],
                    steps="disks,pcicheck,kmsg:3,off")
    lab.case("many", around(before, guest, ""), many, limit=120)


IMAGE = 4 * MIB


def parts(sector):
    """First byte and size of each partition. With sectors of 512 bytes, the second one begins at no multiple of 4096."""
    return (1 * MIB, MIB), (2 * MIB + sector, MIB)


def around_second(sector):
    """The same of what lies before and after the second partition."""
    first, size = parts(sector)[1]
    return (0, first), (first + size, IMAGE - first - size)


# Each disk of the guest: (kind of table, its sectors, what --disk is told). `4kn` is a device with sectors of 4096 bytes,
# `on-4kn` a folder on one, where O_DIRECT wants 4096 bytes, and the rest lies on a file system that does not say.
PARTITIONED = (
    ("gpt", 512, "gpt512,direct=on"), ("mbr", 512, "mbr512,direct=on"), ("gpt", 512, "on-4kn/gpt512,direct=on"),
    ("mbr", 512, "4kn-mbr512,direct=on,block_size=512"), ("gpt", 4096, "4kn-gpt4096"),
    ("gpt", 4096, "gpt4096,block_size=4096"), ("mbr", 4096, "mbr4096,direct=on,block_size=4096"), ("mbr", 512, "plain512"),
)


def place(disk):
    return disk.split(",")[0]


def vd(number):
    return f"vd{chr(ord('a') + number)}"


def image(number):
    """What the disk is before the guest runs: noise where no table is."""
    kind, sector, _ = PARTITIONED[number]
    data = bytearray(random.Random(number).randbytes(IMAGE))
    getattr(partitions, kind)(data, sector, parts(sector))
    return data


def partitioned(r):
    """The guest finds what the table says, and writes there and nowhere else."""
    r.fine()
    for number, (_, sector, disk) in enumerate(PARTITIONED):
        found = ".".join(f"{vd(number)}{index}-{first}-{size}" for index, (first, size) in enumerate(parts(sector), 1))
        r.says("disk", vd(number), logical=sector, bytes=IMAGE)
        r.says("partitions", vd(number), count=2, found=found)
        same(r, "fill", f"{vd(number)}2", f"{place(disk)}-part")
        data = image(number)
        rest = hashlib.sha256(b"".join(data[first:first + size] for first, size in around_second(sector))).hexdigest()
        r.says("host", f"{place(disk)}-rest", sha256=rest)


PIECES = """pieces() {
    name=$1 file=$2 bs=$3
    shift 3
    echo "@test host at=$name sha256=$(while [ $# -gt 0 ]; do
        dd if="$file" bs=$bs skip=$(($1 / bs)) count=$(($2 / bs)) 2>/dev/null
        shift 2
    done | sha256sum | cut -d' ' -f1)"
}
loop4k() { l=$($T/losetup -b 4096 -f --show "$2") && ln -s "$l" "$1"; }"""


def partitioned_case(lab):
    lab.tool("mke2fs")
    lab.tool("losetup")  # busybox's has no sector size
    before = [PIECES, "truncate -s 40M back; $T/mke2fs -q -F -b 4096 -t ext4 back; loop4k back-loop back",
              "mkdir on-4kn; mount -t ext4 back-loop on-4kn"]
    after, steps = [], []
    for number, (_, sector, disk) in enumerate(PARTITIONED):
        made = lab.make(f"partitions{number}")
        made.write_bytes(image(number))
        name = place(disk)
        file = f"{name}.file" if name.startswith("4kn") else name
        before.append(f"cp {lab.put(made)} {file}" + (f"; loop4k {name} {file}" if file != name else ""))
        for what, places in ("part", parts(sector)[1:]), ("rest", around_second(sector)):
            after.append(f"pieces {name}-{what} {file} {sector} {' '.join(str(n) for place_ in places for n in place_)}")
        if file != name:
            after.append(f"losetup -d $(readlink {name})")
        steps.append(f"disk:{vd(number)},partitions:{vd(number)},fill:{vd(number)}2:0:1:7")
    after.append("umount on-4kn; losetup -d $(readlink back-loop)")
    guest = lab.vmm(modules=MODULES, disks=[disk for _, _, disk in PARTITIONED],
                    steps=",".join([*steps, "pcicheck,kmsg:3,off"]))
    lab.case("partitions", around("\n".join(before), guest, "\n".join(after)), partitioned, limit=150, root=True)


def survives(rounds):
    """Every record that the guest saw as stable is in the file, whenever the VMM was killed."""
    def check(r):
        lines = r.steps("killed")
        r.require(len(lines) == rounds, f"{len(lines)} rounds, expected {rounds}")
        for line in lines:
            r.require(int(line["synced"]) >= 5 and line["found"] == "all", f"killed: {line}")
    return check


def kill_script(lab, rounds):
    """The guest writes records; it is killed at some moment after the fifth one, maybe in the midst of a line."""
    guest = lab.vmm(modules=MODULES, disks=("image",), steps="record:vda")
    return f"""for round in $(seq {rounds}); do
rm -f image; truncate -s 4M image; : >said
{guest} >said 2>&1 &
p=$!
while [ "$(grep -c '@test synced n=' said)" -lt 5 ] && kill -0 $p 2>/dev/null; do sleep 0.5; done
usleep $((round * 7919 % 200000))
kill -9 $p; wait $p
synced=$(tr '\\r' '!' <said | sed -n 's/^@test synced n=\\([0-9]*\\)!$/\\1/p' | tail -n 1)
dd if=image bs=512 skip=1 count=${{synced:-0}} 2>/dev/null | tr -d '\\0' >have
seq ${{synced:-0}} | sed 's/^/record /' | cmp - have && found=all || found=less
echo "@test killed synced=${{synced:-0}} found=$found"
done"""


def cases(lab):
    lab.only(TOOLS, kinds_case, "kinds")
    lab.only(TOOLS, claimed_case, "claimed")
    intx_case(lab)
    lab.only(TOOLS, ext4_case, "ext4-reboot")
    many_case(lab)
    lab.only(TOOLS, partitioned_case, "partitions")
    resize_case(lab)
    lab.case("killed", kill_script(lab, 1), survives(1))
