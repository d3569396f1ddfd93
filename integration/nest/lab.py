# SPDX-License-Identifier: Apache-2.0
"""What a scenario file has at hand: kernels, initramfs, the program under test, files of its own."""
import importlib.util
import pathlib
import re
import subprocess

from images import catalog, cpio, debian
from nest.case import Case, Host, Only, command, quote

SCENARIOS = pathlib.Path(__file__).resolve().parent.parent / "scenarios"

# The names that scenarios use for guest kernels: as Debian has them, and on x86_64 what a bzImage has inside.
KERNELS = {
    "x86_64": {
        "deb612": lambda: catalog.kernel("6.12"),
        "elf612": lambda: catalog.elf("6.12"),
        "deb61": lambda: catalog.kernel("6.1"),
        "elf61": lambda: catalog.elf("6.1"),
    },
    "aarch64": {"deb612": lambda: catalog.kernel("6.12", "aarch64")},
}
# Of a guest, unless a case says otherwise: the kernel that starts quickest, and the serial port.
USUAL = {"x86_64": ("elf612", "ttyS0"), "aarch64": ("deb612", "ttyAMA0")}

#: where a case needs lab.tool()
TOOLS = Only("x86_64", "it brings programs of the machine that the nest runs on")

# await PATTERN COUNT: until so many lines of the output match, or the guest's process has ended.
AWAIT = """await() {
    while [ "$(grep -ac -e "$1" "$O/out")" -lt "$2" ]; do
        kill -0 $p 2>/dev/null || { echo "the guest ended before line $2 that matches: $1" >&2; return 1; }
        sleep 0.2
    done
}"""

# host NAME FILE [SKIP COUNT]: the sum of a file, or of so many MiB of it, as a line in the form of a guest's step.
# blocks NAME FILE: the KiB that it takes. noise FILE MIB: a file of random bytes. attach LINK FILE: a loop device.
HOST = """host() { echo "@test host at=$1 sha256=$(dd if="$2" bs=1M skip=${3:-0} count=${4:-1000} 2>/dev/null |
    sha256sum | cut -d' ' -f1)"; }
blocks() { echo "@test blocks at=$1 kib=$(du -k "$2" | cut -f1)"; }
noise() { dd if=/dev/urandom of="$1" bs=1M count="$2" 2>/dev/null; }
attach() { l=$(losetup -f) && losetup "$l" "$2" && ln -s "$l" "$1"; }"""


def around(before, guest, after):
    """A script with something to do before and after a guest, whose exit code it has."""
    return "\n".join(filter(None, [HOST, before, guest, "code=$?", after, "exit $code"]))


def scenario(path):
    """The module that a scenario's file is."""
    spec = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loaded_by(program):
    """{path: file} of the libraries that a program loads; empty for one that is static."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True)
    if said.returncode != 0 or "statically linked" in said.stdout:
        return {}
    return {path: pathlib.Path(path).resolve() for path in re.findall(r"(/\S+) \(0x", said.stdout)}


class Lab:
    def __init__(self, program, folder, arch="x86_64"):
        self.arch = arch  # of the program, the guests and the host that they run on
        self.folder = pathlib.Path(folder)  # for files that scenarios make
        self.program_path = pathlib.Path(program).resolve()
        self.files = {}      # name below $T -> where it comes from
        self.libraries = {}  # absolute path -> where it comes from, for programs that are not static
        self.scenario = ""
        self.cases = []

    def put(self, source, name=None):
        """Brings a file to the host of the case; gives its path there."""
        source = pathlib.Path(source).resolve()
        name = name or source.name
        if self.files.setdefault(name, source) != source:
            raise ValueError(f"two files named {name}: {self.files[name]} and {source}")
        return f"$T/{name}"

    def program(self, path, name=None):
        """Brings a program and, when it is not static, the libraries that it loads."""
        path = pathlib.Path(path).resolve()
        self.libraries.update(loaded_by(path))
        return self.put(path, name)

    def tool(self, name):
        """Brings a program of the machine that this runs on."""
        if self.arch != catalog.OWN:
            raise debian.Missing(f"{name} is here for {catalog.OWN} only")
        return self.program(debian.tool(name), name)

    def peer(self):
        """The other end of the steps that use the network: see images/uroot/peer."""
        return self.put(catalog.peer(self.arch), "peer")

    def guest_tools(self, *names):
        """A further initramfs with programs of the machine that this runs on, in /sbin, and their libraries."""
        path = self.make(f"tools-{'-'.join(names)}.cpio")
        with cpio.Archive(path) as archive:
            libraries = {}
            for name in names:
                tool = pathlib.Path(debian.tool(name)).resolve()
                archive.file(f"sbin/{name}", tool)
                libraries.update(loaded_by(tool))
            for name, source in sorted(libraries.items()):
                archive.file(name.lstrip("/"), source)
        return self.put(path)

    def load(self, name):
        """Another scenario, for those that do the same for longer."""
        return scenario(SCENARIOS / f"{name}.py")

    @property
    def serial(self):
        """The guest's name for its first serial port."""
        return USUAL[self.arch][1]

    def kernel(self, name):
        return self.put(KERNELS[self.arch][name](), name)

    def initramfs(self):
        return self.put(catalog.uroot(self.arch), "uroot.cpio")

    def make(self, name):
        """A path for a file that the scenario writes; `put` it then."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def modules(self, *names, series="6.12"):
        """A further initramfs with kernel modules, which the guest inserts before it does anything else."""
        path = self.make(f"modules-{series}-{'-'.join(names)}.cpio")
        with cpio.Archive(path) as archive:
            for number, (name, content) in enumerate(catalog.modules(series, names, self.arch)):
                archive.text(f"lib/guest/{number:02}-{name}", content)
        return self.put(path)

    def talk(self, guest, *exchanges, end="wait $p"):
        """A script that types into a guest's console through a pipe.

        Each exchange is (pattern, shell command): when so many lines of the output match the pattern as exchanges
        so far asked for it, the command runs; its output is what is typed. $p is the guest's process.
        """
        lines = ["mkfifo in", f"{guest} <in &", "p=$!", "exec 3>in", AWAIT]
        asked = {}
        for pattern, typed in exchanges:
            asked[pattern] = asked.get(pattern, 0) + 1
            lines.append(f"await {quote(pattern)} {asked[pattern]} && {{ {typed}; }} >&3")
        return "\n".join([*lines, end])

    def vmm(self, *extra, kernel=None, steps="off", cpus=1, memory="256M", append="quiet panic=-1", modules=(),
            disks=(), console=None):
        """The command line of one guest that runs `steps` (see images/uroot/steps).

        On x86_64 the kernel is an ELF file unless unpacking is what the case is about: where the VMM itself is emulated,
        unpacking a bzImage is a good part of what a guest costs.
        """
        line = " ".join(filter(None, [f"console={console or self.serial}", append, f"vmm.test={steps}" if steps else ""]))
        if modules:
            extra = ("--initramfs", self.modules(*modules), *extra)
        extra = (*extra, *(word for disk in disks for word in ("--disk", disk)))
        return command(self.program(self.program_path, "vmm"), "run", "--kernel", self.kernel(kernel or USUAL[self.arch][0]),
                       "--initramfs", self.initramfs(), "--cmd-line", line, "--memory", memory,
                       "--num-cpu", cpus, *extra)

    def case(self, name, script, check, **options):
        self.cases.append(Case(f"{self.scenario}.{name}", script, check, **options))

    def only(self, which, make, *names):
        """Cases for one architecture: make(lab) adds them there, elsewhere they are skipped, and say why."""
        before = len(self.cases)
        if which.arch == self.arch:
            make(self)
            added = [case.name.partition(".")[2] for case in self.cases[before:]]
            if added != list(names):
                raise ValueError(f"cases {added} were announced as {names}")
        else:
            for name in names:
                self.case(name, "", None, only=which)


__all__ = ["HOST", "Host", "Lab", "Only", "SCENARIOS", "TOOLS", "around", "command", "scenario"]
