"""Every device at once: what races and leaks between their threads shows here, above all under sanitizers."""
from nest.lab import around

MODULES = ("virtio_blk", "virtio_net", "virtio-rng", "pvpanic-pci")
SIZE = 2 << 20  # bytes each way over the network


def devices(r, net, disk):
    r.fine()
    r.says("pcicheck", functions=7)
    for name, file in (("vda", "one"), ("vdb", "four")):
        disk.has_worked(r, name, file)
    net.moved(r, "10.77.0.1", SIZE)
    r.says("hwrng", bytes=65536, values=256, **{"from": "virtio_rng.0"})


def cases(lab):
    net, disk = lab.load("net"), lab.load("disk")
    lab.peer()
    before = f"truncate -s 8M one; truncate -s 8M four\n{net.TAP}\n{net.PEER}"
    after = disk.worked("one", "one") + disk.worked("four", "four", 2) + "tunctl -d tap0 >/dev/null"
    at = f"10.77.0.1:{net.PORT}"
    together = "+".join(["churn:vda:1:60", "churn:vdb:2:60", f"tcpget:{at}:{SIZE}", f"tcpput:{at}:{SIZE}",
                         "hwrng:65536", "flood:100"])
    fills = "".join(f",fill:{name}:{disk.FILL_AT}:{disk.FILL}:7" for name in ("vda", "vdb"))
    guest = lab.vmm("--net", "tap=tap0", "--rng", "--pvpanic", "--console", "tty", "--serial", "null", cpus=2,
                    modules=MODULES, console="hvc0", disks=("one", "path=four,num_queues=2,packed=off"),
                    steps=f"addr:eth0:10.77.0.2/24,carrier:eth0:1,tcpecho:{at},together:{together}{fills},"
                          "pcicheck,kmsg:3,off")
    lab.case("devices", around(before, guest, after), lambda r: devices(r, net, disk), root=True, limit=180)
