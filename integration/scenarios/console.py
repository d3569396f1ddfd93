"""The guest's console: a shell through a pipe, and the places that --serial can name."""


def shell_works(r):
    r.exits(0)
    r.prints(r"^\$ uname -a")
    r.prints(r"^Linux .*6\.12\.")
    r.prints(r"^42$")


def echoes(r):
    r.exits(0)
    r.says("echo", text='hello through a pipe')


def silent(r):
    r.exits(0)
    r.says_nothing("@test")


def in_file(r):
    r.exits(0)
    r.says_nothing("@test")
    r.prints("^@test cpus count=1", "console")


def reader_gone(r):
    r.require(r.text("code").strip() == "0", f"exit code {r.text('code')!r} after the reader of its output left")


def cases(lab):
    # As a person does it, down to the shell's own prompt.
    lab.case("shell", lab.talk(lab.vmm(steps=""), (r"^\$ ", "echo uname -a"), (r"^\$ ", "echo 'echo $((6*7))'"),
                               (r"^\$ ", "echo poweroff")), shell_works)
    lab.case("pipe", lab.talk(lab.vmm(steps="echo,off"), ("^@test ready", "echo hello through a pipe")), echoes)
    # The end of input is not the end of the guest.
    lab.case("stdin-closed", lab.vmm(steps="cpus,off") + " <&-", lambda r: (r.exits(0), r.says("cpus", count=1)))
    lab.case("reader-gone", "{ " + lab.vmm(steps="wait:1000,off") + "; echo $? >$O/code; } | head -n 1", reader_gone)
    lab.case("null", lab.vmm("--serial", "null", steps="off"), silent)
    lab.case("file", lab.vmm("--serial", "file=$O/console", steps="cpus,off"), in_file)
    lab.case("off", lab.vmm("--serial", "off", steps="off"), silent)
