# SPDX-License-Identifier: Apache-2.0
"""Every device at once: what races and leaks between their threads shows here, above all under sanitizers."""
from nest.lab import TOOLS, around

MODULES = ("virtio_blk", "virtio_net", "virtio-rng", "pvpanic-pci")
TAP, PASST = "10.77.0.1", "10.99.0.1"
# Bytes each way. Debian 12's passt resets a connection whose guest has not acknowledged for some seconds, as one
# under a sanitizer on a busy machine may not: the less there is to carry, the less often.
SIZES = {TAP: 2 << 20, PASST: 96 << 10}
LINE = "a-line-from-the-guest-" * 20


def devices(net, disk, pins):
    def check(r):
        r.fine()
        r.says("pcicheck", functions=9)
        r.says("lspci", functions=9, odd=0)
        for name, file in (("vda", "one"), ("vdb", "four")):
            disk.has_worked(r, name, file)
        for address, size in SIZES.items():
            net.moved(r, address, size)
        r.says("hwrng", bytes=65536, values=256, **{"from": "virtio_rng.0"})
        r.require(r.text("log") == LINE + "\n", f"the port's file has {r.text('log')[:100]!r}")
        for device in range(7) if pins else ():
            r.says("irqs", f"virtio{device}", kind="IO-APIC")
            r.number("irqs", "count", least=1, at=f"virtio{device}")
    return check


def case(lab, name, *, packed=True, pins=False):
    net, disk = lab.load("net"), lab.load("disk")
    lab.peer()
    lab.tool("passt")
    ring = "packed=on" if packed else "packed=off"
    before = f"truncate -s 8M one; truncate -s 8M four\n{net.TAP}\n{net.USER}\n{net.PEER}"
    after = disk.worked("one", "one") + disk.worked("four", "four", 2) + "tunctl -d tap0 >/dev/null"
    moves = [f"{step}:{address}:{net.PORT}:{size}" for address, size in SIZES.items() for step in ("tcpget", "tcpput")]
    together = "+".join(["churn:vda:1:60", "churn:vdb:2:60", *moves, "hwrng:65536", "flood:100", f"port:log:{LINE}"])
    fills = "".join(f",fill:{vd}:{disk.FILL_AT}:{disk.FILL}:7" for vd in ("vda", "vdb"))
    echoes = ",".join(f"tcpecho:{address}:{net.PORT}" for address in SIZES)
    irqs = ",".join(f"irqs:virtio{device}" for device in range(7 if pins else 1))
    guest = lab.vmm("--net", f"tap=tap0,{ring}", "--net", f"user,{ring}", "--rng", ring, "--pvpanic",
                    "--console", f"tty,{ring}", "--console-port", "name=log,file=$O/log", "--serial", "null",
                    "--initramfs", lab.guest_tools("lspci"), cpus=2, modules=MODULES, console="hvc0",
                    append="quiet panic=-1" + " pci=nomsi" * pins,
                    disks=(f"one,{ring}", "path=four,num_queues=2,packed=off"),
                    steps=f"addr:eth0:10.77.0.2/24,carrier:eth0:1,dhcp:eth1,{echoes},together:{together}{fills},"
                          f"{irqs},pcicheck,lspci,kmsg:3,off")
    lab.case(name, around(before, guest, after), devices(net, disk, pins), root=True, limit=180)


def cases(lab):
    lab.only(TOOLS, lambda lab: case(lab, "devices"), "devices")
    # Neither MSI-X nor packed rings.
    lab.only(TOOLS, lambda lab: case(lab, "pins", packed=False, pins=True), "pins")
