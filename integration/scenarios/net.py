# SPDX-License-Identifier: Apache-2.0
"""Networks: a tap with addresses on both sides, and passt for an ordinary user."""
from nest.lab import TOOLS, around

MODULES = ("virtio_net",)
PACKED, VERSION_1, MULTIQUEUE = 34, 32, 22
PORT = 7000

# The addresses of a tap's other side, as soon as there is a tap; the other end of the conversations.
TAP = """up() { until ifconfig "$1" "$2" netmask 255.255.255.0 up 2>/dev/null; do sleep 0.3; done; }
tunctl -t tap0 >/dev/null; up tap0 10.77.0.1"""
PEER = f"$T/peer serve {PORT} >$O/peer &"

# passt lends the guest an address of the host, and needs one to lend, with a route; it runs as an ordinary user.
# The guest reaches the host under the address of the gateway.
# Echo requests leave through a socket that the host has to allow, and reach it under any other of its addresses.
USER = """ifconfig dummy0 10.99.0.2 netmask 255.255.255.0 up; route add default gw 10.99.0.1 dev dummy0 2>/dev/null
ifconfig dummy0:1 10.98.0.1 netmask 255.255.255.0 up; echo 0 65535 >/proc/sys/net/ipv4/ping_group_range
chmod 666 /dev/kvm
export PATH=$T:$PATH"""


def traffic(address, size):
    return f"tcpecho:{address}:{PORT},tcpget:{address}:{PORT}:{size},tcpput:{address}:{PORT}:{size}"


def moved(r, address, size):
    """Both sides saw the same bytes, both ways."""
    at = f"{address}:{PORT}"
    r.step("tcpecho", at)
    for step in ("tcpget", "tcpput"):
        r.says(step, at, bytes=size)
        r.prints(rf"^@test peer verb={step[3:]} bytes={size} sha256={r.step(step, at)['sha256']}$", "peer")


def has_bits(r, nic, packed, queues):
    bits = {int(bit) for bit in r.step("nic", nic)["bits"].split(".")}
    wanted = {VERSION_1} | ({PACKED} if packed else set()) | ({MULTIQUEUE} if queues > 1 else set())
    r.require(bits & {VERSION_1, PACKED, MULTIQUEUE} == wanted, f"{nic} has features {sorted(bits)}")
    r.says("nic", nic, rx=queues, tx=queues)


def pinged(r, address, size):
    r.says("ping", address, sent=3, back=3, bytes=size)


def taps(size):
    def check(r):
        r.fine()
        r.says("nic", "eth0", mac="52:54:00:12:34:56", mtu=1500)
        r.says("nic", "eth1", mtu=1400)
        r.says("pcicheck", functions=3)
        r.says("cpus", count=2, online="0-1")
        r.says("topology", packages=1, cores=2, threads=2)
        has_bits(r, "eth0", packed=True, queues=1)
        has_bits(r, "eth1", packed=False, queues=2)
        for address, ping in (("10.77.0.1", 1472), ("10.78.0.1", 1372)):
            pinged(r, address, ping)
            moved(r, address, size)
        # Each pair of queues has carried something: first one CPU's connections, then the other's.
        for queue in range(2):
            for kind in ("input", "output"):
                r.number("irqs", "count", least=1, at=f"virtio1-{kind}.{queue}")
    return check


def taps_case(lab, name, size, **options):
    lab.peer()
    steps = ["nic:eth0,addr:eth0:10.77.0.2/24,carrier:eth0:1,ping:10.77.0.1:3:1472", traffic("10.77.0.1", size),
             "nic:eth1,addr:eth1:10.78.0.2/24,carrier:eth1:1,pin:0,ping:10.78.0.1:3:1372,pin:1",
             traffic("10.78.0.1", size), *(f"irqs:virtio1-{kind}.{queue}" for kind in ("input", "output")
                                           for queue in range(2)), "cpus,topology,pcicheck,kmsg:3,off"]
    guest = lab.vmm("--net", "tap=tap0,mac=52:54:00:12:34:56", "--net", "tap=tap1,num_queues=4,mtu=1400,packed=off",
                    modules=MODULES, cpus=2, steps=",".join(steps))
    lab.case(name, around(f"{TAP}\nup tap1 10.78.0.1 &\n{PEER}", guest, "tunctl -d tap0 >/dev/null"), taps(size),
             root=True, **options)


def user(size):
    def check(r):
        r.fine()
        r.says("dhcp", "eth0", address="10.99.0.2/24")
        has_bits(r, "eth0", packed=True, queues=1)
        pinged(r, "10.98.0.1", 1400)
        moved(r, "10.99.0.1", size)
        for verb in ("get", "put"):
            r.prints(rf"^@test peer verb={verb} bytes={size} ", "published")
        r.prints("^@test peer verb=echo", "published")
        r.prints("^Uid:\t1000\t", "passt")
        r.prints("^Uid:\t1000\t", "vmm")
        for sum_ in {line.split()[-1] for line in r.text("published").splitlines() if "sha256" in line}:
            r.prints(rf"^@test served .* {sum_}")  # what is typed may be echoed right after it
    return check


def user_case(lab, name, size, **options):
    lab.peer()
    lab.tool("passt")
    guest = "$T/peer as 1000 " + lab.vmm("--net", "user,publish=9080:8080", modules=MODULES, steps="ask")
    steps = f"nic:eth0,dhcp:eth0,ping:10.98.0.1:3:1400,{traffic('10.99.0.1', size)},serve:8080"
    client = ("{ grep Uid /proc/$(pidof passt)/status >$O/passt; grep Uid /proc/$p/status >$O/vmm; "
              "$T/peer echo 127.0.0.1:9080 hello; "
              f"$T/peer get 127.0.0.1:9080 {size}; $T/peer put 127.0.0.1:9080 {size}; }} >$O/published; "
              "echo pcicheck,kmsg:3,off")
    talk = lab.talk(guest, ("^@test ready", f"echo {steps}"), ("^@test ready", client))
    lab.case(name, f"{USER}\n{PEER}\n{talk}", user(size), root=True, **options)


def gone(r):
    """A link that goes down is all that the guest sees, a line each is all that the log has."""
    r.exits(0)
    for nic in ("eth0", "eth1"):
        r.says("carrier", nic, value=0)
        r.require(r.steps("carrier").index({"at": nic, "value": "1"}) < 2, f"{nic} was never up")
    r.prints_once("^.*tap tap0 was deleted; the guest's link is down$", "err")
    r.prints_once("^.*passt was killed by signal 9; the guest's link is down$", "err")
    r.require(len(r.err.splitlines()) == 2, f"stderr has {r.err[:400]!r}")
    r.says("fill", "vda", bytes=2 << 20)
    r.says("ping", "10.77.0.1", sent=1, back=0)


def gone_case(lab):
    lab.tool("passt")
    guest = lab.vmm("--net", "tap=tap0", "--net", "user", modules=(*MODULES, "virtio_blk"), disks=("file",),
                    steps="ask")
    talk = lab.talk(
        guest, ("^@test ready", "echo addr:eth0:10.77.0.2/24,addr:eth1:10.99.0.2/24,carrier:eth0:1,carrier:eth1:1"),
        ("^@test ready", "ip link del tap0; kill -9 $(pidof passt); "
                         "echo carrier:eth0:0,carrier:eth1:0,ping:10.77.0.1:1:56,fill:vda:0:2:1,off"))
    lab.case("gone", f"{TAP}\n{USER}\ntruncate -s 4M file\n{talk}", gone, root=True)


def cases(lab):
    taps_case(lab, "taps", 2 << 20, limit=120)
    lab.only(TOOLS, lambda lab: user_case(lab, "user", 2 << 20, limit=120), "user")
    lab.only(TOOLS, gone_case, "gone")
