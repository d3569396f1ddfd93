# SPDX-License-Identifier: Apache-2.0
"""What guests and the nest are made of: kernels and their modules, busybox, the u-root initramfs.

PYTHONPATH=integration python3 -m images.catalog [--arch ARCH] kernel SERIES | elf SERIES | uroot | peer | busybox | drivers | all
Prints the path; makes the thing in the cache if it is not there yet. Nothing is installed.
"""
import argparse
import contextlib
import fcntl
import functools
import hashlib
import lzma
import os
import pathlib
import platform
import re
import shutil
import struct
import subprocess
import sys

from images import debian

HERE = pathlib.Path(__file__).resolve().parent
CACHE = debian.CACHE
SERIES = {"x86_64": ("6.12", "6.1"), "aarch64": ("6.12",)}
PORTS = {"x86_64": "amd64", "aarch64": "arm64"}  # what Debian and Go call an architecture
OWN = platform.machine()


@contextlib.contextmanager
def lock():
    """One process at a time makes things in the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def package(name, arch):
    """apt's name for a package of an architecture."""
    return name if arch == OWN else f"{name}:{PORTS[arch]}"


def kernel_package(series, arch="x86_64"):
    """The unpacked package of the newest cloud kernel of a series."""
    return debian.fetch(debian.newest(rf"^linux-image-{re.escape(series)}\.[^ ]*-cloud-{PORTS[arch]}$"))


def kernel(series, arch="x86_64"):
    """A bzImage; on aarch64 an Image."""
    return next((kernel_package(series, arch) / "boot").glob("vmlinuz-*"))


DECOMPRESSORS = {
    b"\x28\xb5\x2f\xfd": ["zstd", "-dcq"],
    b"\x02\x21\x4c\x18": ["lz4", "-dcq"],
    b"\xfd7zX": ["xz", "-dcq", "--single-stream"],
    b"\x1f\x8b": ["gzip", "-dcq"],
}


def elf(series):
    """The ELF file inside the series' bzImage (Documentation/arch/x86/boot.rst: payload_offset)."""
    image = kernel(series)
    out = CACHE / "elf" / image.name
    if out.exists():
        return out
    data = image.read_bytes()
    setup_sectors = data[0x1f1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = data[start:start + length]
    command = next((c for magic, c in DECOMPRESSORS.items() if payload.startswith(magic)), None)
    if command is None:
        raise debian.Missing(f"{image}: payload starts with {payload[:4].hex()}, no known compression")
    debian.tool(command[0])
    # The four bytes of length after the stream are not part of it: tools warn about them.
    unpacked = subprocess.run(command, input=payload, stdout=subprocess.PIPE,  # runs: zstd lz4 xz gzip
                              stderr=subprocess.DEVNULL).stdout
    if not unpacked.startswith(b"\x7fELF"):
        raise debian.Missing(f"{image}: its payload did not unpack to an ELF file")
    save(out, unpacked)
    return out


def save(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part{os.getpid()}")
    part.write_bytes(data)
    part.rename(path)


def plain_module(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def modules(series, names, arch="x86_64"):
    """[(file name, content)] of the named modules and what they need, in the order to insert them.

    What is built into the kernel is left out; a name that is neither is an error.
    """
    root = next((kernel_package(series, arch) / "lib/modules").iterdir())
    plain = lambda name: name.replace("-", "_")
    files = {plain(p.name.split(".ko")[0]): p for p in root.rglob("*.ko*") if ".ko" in p.name}
    builtin = {plain(pathlib.Path(line).stem) for line in (root / "modules.builtin").read_text().splitlines()}
    order = {}

    def add(name):
        if name in order or name in builtin:
            return
        if name not in files:
            raise debian.Missing(f"kernel {root.name} has no module {name}")
        content = plain_module(files[name])
        for needed in re.search(rb"\0depends=([^\0]*)\0", content)[1].decode().split(","):
            if needed:
                add(plain(needed))
        order[name] = content

    for name in names:
        add(plain(name))
    return [(f"{name}.ko", content) for name, content in order.items()]


def busybox(arch="x86_64"):
    """A static busybox."""
    return debian.fetch(package("busybox-static", arch)) / "bin/busybox"


def go():
    """(the go command, its environment): the machine's own if it is new enough, else that of backports."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    own = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if own:
        found = re.search(r"go(\d+)\.(\d+)", subprocess.run([own, "env", "GOVERSION"], capture_output=True,  # runs: go
                                                            text=True, env=environment).stdout)
        if found and (int(found[1]), int(found[2])) >= (1, 21):
            return own, with_toolchain(own, environment)
    suite = "bookworm-backports"
    name = debian.newest(r"^golang-1\.[0-9]+-go$", suite)
    version = re.search(r"1\.\d+", name)[0]
    root = CACHE / "go" / version
    if not root.exists():
        part = root.with_suffix(f".part{os.getpid()}")
        for package in (name, f"golang-{version}-src"):
            shutil.copytree(debian.fetch(package, suite), part, symlinks=True, dirs_exist_ok=True)
        part.rename(root)
    environment["GOROOT"] = str(root / f"usr/lib/go-{version}")
    command = environment["GOROOT"] + "/bin/go"
    return command, with_toolchain(command, environment)


def with_toolchain(command, environment):
    """Lets Go fetch a newer toolchain through its module proxy where go.mod asks for one."""
    wanted = re.search(r"^go (\d+)\.(\d+)", (HERE / "uroot/go.mod").read_text(), re.M)
    have = re.search(r"go(\d+)\.(\d+)", subprocess.run([command, "env", "GOVERSION"], capture_output=True, text=True,
                                                       cwd="/",  # runs: go
                                                       env={**environment, "GOTOOLCHAIN": "local"}).stdout)
    if (int(have[1]), int(have[2])) < (int(wanted[1]), int(wanted[2])):
        environment["GOTOOLCHAIN"] = "auto"
        environment.pop("GOROOT", None)
    return environment


# goshsmall: a plain prompt. The line editor of the other builds ends at once on the output that init gives it.
UROOT_OPTIONS = ("-go-build-tags", "goshsmall", "-defaultsh", "gosh", "-uinitcmd", "steps")


def uroot(arch="x86_64"):
    """The guest's initramfs: u-root with the commands that uroot/tools.go lists, and `steps`, which it starts first."""
    source = HERE / "uroot"
    digest = hashlib.sha256(" ".join([*UROOT_OPTIONS, PORTS[arch]]).encode())
    for path in sorted([*source.glob("*.go"), *source.glob("go.*"), *source.glob("steps/*.go"),
                        *source.glob("wire/*.go")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    out = CACHE / "uroot" / f"{digest.hexdigest()[:16]}.cpio"
    if out.exists():
        return out
    print(f"== building the u-root initramfs for {arch} (Go modules come through the Go module proxy)", file=sys.stderr)
    command, environment = go()
    out.parent.mkdir(parents=True, exist_ok=True)
    builder = out.with_suffix(f".builder{os.getpid()}")
    part = out.with_suffix(f".part{os.getpid()}")
    commands = re.findall(r'"(github\.com/u-root/u-root/cmds/[^"]+)"', (source / "tools.go").read_text())
    environment["PATH"] = f"{pathlib.Path(command).parent}:{environment['PATH']}"
    try:
        subprocess.run([command, "build", "-o", builder, "github.com/u-root/u-root"], cwd=source, env=environment,
                       check=True)  # runs: go
        made = subprocess.run([builder, "-o", part, *UROOT_OPTIONS, *commands, "./steps"], cwd=source,
                              env={**environment, "GOARCH": PORTS[arch]}, capture_output=True, text=True)  # runs: our own
        if made.returncode != 0:
            raise debian.Missing(f"u-root did not build:\n{made.stderr}")
        part.rename(out)
    finally:
        builder.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return out


def peer(arch="x86_64"):
    """A static program for the host of a guest: the other end of the steps that use the network (uroot/peer)."""
    source = HERE / "uroot"
    digest = hashlib.sha256(PORTS[arch].encode())
    for path in sorted([*source.glob("peer/*.go"), *source.glob("wire/*.go"), *source.glob("go.*")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    out = CACHE / "peer" / digest.hexdigest()[:16]
    if out.exists():
        return out
    command, environment = go()
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(f".part{os.getpid()}")
    subprocess.run([command, "build", "-o", part, "./peer"], cwd=source, env={**environment, "GOARCH": PORTS[arch]},
                   check=True)  # runs: go
    part.rename(out)
    return out


CARGO = (1, 85)  # what virtio-drivers needs


def cargo():
    """The machine's own cargo, which ./do setup installs where there is none."""
    command = shutil.which("cargo") or shutil.which("cargo", path=str(pathlib.Path.home() / ".cargo/bin"))
    if command is None:
        raise debian.Missing("cargo is missing: run ./do setup nest")
    said = subprocess.run([command, "--version"], capture_output=True, text=True).stdout  # runs: cargo
    found = re.search(r"cargo (\d+)\.(\d+)", said)
    if not found or (int(found[1]), int(found[2])) < CARGO:
        raise debian.Missing(f"{command} is {said.strip() or 'no cargo'}, too old for the crate virtio-drivers, which needs "
                             f"{CARGO[0]}.{CARGO[1]}: Debian 12 has a newer one in the packages cargo-web and rustc-web")
    return command


def drivers():
    """A PVH kernel with drivers that are not Linux's (drivers/src/main.rs); crates come through cargo's registry."""
    source, bare = HERE / "drivers", HERE.parent.parent / "tests/bare/x86_64"
    digest = hashlib.sha256()
    for path in sorted([*source.glob("src/*.rs"), source / "Cargo.toml", source / "build.rs", bare / "start.S", bare / "link.ld"]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    out = CACHE / "drivers" / f"{digest.hexdigest()[:16]}.elf"
    if out.exists():
        return out
    print("== building the guest with drivers of the crate virtio-drivers", file=sys.stderr)
    out.parent.mkdir(parents=True, exist_ok=True)
    target = CACHE / "drivers/target"
    # Flags of the machine's owner may be for other linkers; this guest is linked for no operating system.
    environment = {name: value for name, value in os.environ.items() if name not in ("RUSTFLAGS", "CARGO_BUILD_TARGET")}
    made = subprocess.run([cargo(), "rustc", "--release", "--target-dir", target, "--", "-C",
                           "relocation-model=static"], cwd=source, env=environment, capture_output=True,
                          text=True)  # runs: cargo
    if made.returncode != 0:
        raise debian.Missing(f"the guest with virtio-drivers did not build:\n{made.stderr}")
    part = out.with_suffix(f".part{os.getpid()}")
    shutil.copy(target / "release/drivers", part)
    part.rename(out)
    return out


def everything(arch="x86_64"):
    found = [*(kernel(series, arch) for series in SERIES[arch]), busybox(arch), uroot(arch), peer(arch)]
    return found + [*(elf(series) for series in SERIES[arch]), drivers()] * (arch == "x86_64")


MAKERS = {"kernel": kernel, "elf": elf, "uroot": uroot, "peer": peer, "busybox": busybox, "drivers": drivers,
          "all": everything}


def main():
    parser = argparse.ArgumentParser(prog="images", description=__doc__)
    parser.add_argument("--arch", choices=sorted(PORTS), default="x86_64")
    parser.add_argument("what", choices=MAKERS)
    parser.add_argument("series", nargs="*")
    options = parser.parse_args()
    make = functools.partial(MAKERS[options.what], *options.series)
    if options.arch != "x86_64":  # an ELF file and the drivers are of that one only
        make = functools.partial(make, arch=options.arch)
    try:
        with lock():
            made = make()
    except (debian.Missing, subprocess.CalledProcessError) as error:
        sys.exit(f"images: {error}")
    print("\n".join(map(str, made)) if isinstance(made, list) else made)


if __name__ == "__main__":
    main()
