# SPDX-License-Identifier: Apache-2.0
"""The guest's console: a shell through a pipe, the places that --serial can name, and the virtio console."""
import hashlib
import re

from nest.case import untangled


def shell_works(r):
    r.exits(0)
    r.says("echo", text="hello through a pipe")
    r.prints(r"^\$ uname -a")
    r.prints(r"^Linux .*6\.12\.")
    r.prints(r"^42$")


def reader_gone(r):
    r.require(r.text("code").strip() == "0", f"exit code {r.text('code')!r} after the reader of its output left")


def flooded(r, lines):
    """What the guest printed is what came, byte by byte."""
    came = "".join(line + "\n" for line in re.findall(r"^flood .*$", r.out, re.M))
    r.says("flood", lines=lines, sha256=hashlib.sha256(came.encode()).hexdigest())


def on_a_terminal(r):
    r.fine()
    r.says("size", "30", columns=100)
    r.says("size", "50", columns=120)
    flooded(r, 200)
    r.says("hwrng", bytes=4096, values=256, **{"from": "virtio_rng.0"})
    r.says("pcicheck", functions=3)


def on_a_socket(r):
    r.require(r.text("code").strip() == "0", f"exit code {r.text('code')!r}")
    r.says("echo", text="hello " * 300 + "end")
    flooded(r, 200)


def over_ports(r):
    """A console and ports beside it, and each says its own."""
    r.fine()
    r.says("size", "30", columns=100)
    r.says("size", "50", columns=120)
    r.says("pcicheck", functions=3)
    heard = [line["text"] for line in r.steps("heard") if line["at"] == "org.example.agent"]
    r.require(heard == ["first", LONG], f"the guest heard {[text[:40] for text in heard]}")
    agent = r.text("agent")
    r.require(agent == f"@test ready\nheard first\n@test ready\nheard {LONG}\n", f"the host heard {agent[:200]!r}")
    r.require(r.text("log") == "one\ntwo\n", f"port log has {r.text('log')!r}")
    r.says("port", "org.example.agent")
    r.says("port", "log")


def ports_alone(r):
    """Without a console; over a reset; what was written while nobody was there comes to the next one."""
    r.fine()
    r.says("pcicheck", functions=2)
    r.says("port", "org.example.agent")
    r.require(len(r.steps("up")) == 2, f"{len(r.steps('up'))} starts, expected 2")
    for name, word in ("agent", "first"), ("again", "second"):
        r.require(r.text(name) == f"@test ready\nheard {word}\n", f"{name} heard {r.text(name)!r}")


def on_ptys(r):
    """Found by what the VMM says about them; the console's can be used before and after the port's."""
    r.require(r.text("code").strip() == "0", f"exit code {r.text('code')!r}")
    r.says("echo", text="hello " * 300 + "end")
    flooded(r, 200)
    r.says("heard", "word", text="through a pty")
    r.require(r.text("port") == "@test ready\nheard through a pty\n", f"the port's pty had {r.text('port')!r}")
    r.says("pcicheck", functions=3, odd=0)
    r.prints_once(r"^vmm: the console is /dev/pts/\d+$", "err")
    r.prints_once(r"^vmm: the port word is /dev/pts/\d+$", "err")


def in_a_file(r):
    """All of it, and the file is made anew."""
    r.exits(0)
    r.require(not r.out and not r.err, f"stdout has {r.out[:300]!r}, stderr {r.err[:300]!r}")
    r.out = untangled(r.text("console"))
    r.says_nothing("from before")
    flooded(r, 1300)
    r.says("pcicheck", functions=2, odd=0)


def places(lab):
    peer = lab.peer()
    both = f"{lab.serial} console=hvc0"  # the kernel writes to the serial port too, where it finds one
    guest = lab.vmm("--console", "pty", "--serial", "off", "--console-port", "name=word,pty", console=both, steps="ask")
    lab.case("hvc0-pty", f"""{{ {guest}; echo $? >$O/code; }} &
place() {{
    until sed -n "s/^vmm: the $1 is //p" $O/err | grep .; do sleep 0.1; done
}}
"{peer}" device $(place "port word") "through a pty" >$O/port &
"{peer}" device $(place console) flood:200,port:word:hear,echo '{'hello ' * 300}end' pcicheck,off
wait""", on_ptys)
    # 80 KB are more than the buffer between guest and file holds.
    guest = lab.vmm("--console", "file=$O/console", "--serial", "null", console=both, steps="flood:1300,pcicheck,off")
    lab.case("hvc0-file", f"echo from before >$O/console\n{guest}", in_a_file)


LONG = "long " * 3000 + "end"


def ports(lab):
    """Ports have names of their own and are not terminals; the console is the same as without them."""
    peer = lab.peer()
    agent = ("--console-port", "name=org.example.agent,socket=agent")
    talk = f"""{{ "{peer}" unix agent first "$(for i in $(seq 3000); do echo -n 'long '; done; echo end)"; }} >$O/agent &
"""
    guest = lab.vmm("--console", "tty", "--serial", "null", *agent, "--console-port", "name=log,file=$O/log",
                    console="hvc0", steps="size:30,ask")
    typed = "size:50,port:org.example.agent:hear+hear,port:log:one+two,pcicheck,kmsg:3,off"
    lab.case("ports", f'{talk}"{peer}" terminal 30x100 50x120 {typed} {guest}; code=$?; wait; exit $code', over_ports)
    turns = (f'"{peer}" unix agent first >$O/agent & agent=$!; echo port:org.example.agent:hear,reboot',
             f'kill $agent; echo port:org.example.agent:hear; sleep 2; ("{peer}" unix agent second >$O/again &)',
             "echo pcicheck,kmsg:3,off")
    lab.case("ports-alone", lab.talk(lab.vmm(*agent, steps="ask"), *(("^@test ready", turn) for turn in turns)),
             ports_alone)


def virtio_console(lab):
    peer = lab.peer()
    guest = lab.vmm("--console", "tty", "--serial", "null", "--rng", modules=("virtio-rng",), console="hvc0",
                    steps="size:30,flood:200,ask")
    typed = "size:50,hwrng:4096,pcicheck,kmsg:3,off"
    lab.case("hvc0-terminal", f'"{peer}" terminal 30x100 50x120 {typed} {guest}', on_a_terminal)
    guest = lab.vmm("--console", "socket=console", "--serial", "null", console="hvc0", steps="ask")
    lab.case("hvc0-socket", f"{{ {guest}; echo $? >$O/code; }} &\n"
             f"\"{peer}\" unix console flood:200,echo '{'hello ' * 300}end' off\nwait", on_a_socket)


def cases(lab):
    virtio_console(lab)
    ports(lab)
    places(lab)
    # As a user does it, down to the shell's own prompt.
    lab.case("shell", lab.talk(lab.vmm(steps="echo"), ("^@test ready", "echo hello through a pipe"), (r"^\$ ", "echo uname -a"), (r"^\$ ", "echo 'echo $((6*7))'"),
                               (r"^\$ ", "echo poweroff")), shell_works)
    lab.case("reader-gone", "{ " + lab.vmm(steps="wait:1000,off") + "; echo $? >$O/code; } | head -n 1", reader_gone)
