# SPDX-License-Identifier: Apache-2.0
"""Writes initramfs archives: the kernel's "newc" format (Documentation/driver-api/early-userspace/buffer-format).

Never compressed: the emulated guest would unpack it slowly. Archives concatenate, so a scenario's files
are appended to a base that was written once. The same input gives the same bytes.
"""
import os
import pathlib
import stat


class Archive:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.out = open(self.path, "wb")
        self.inode = 0
        self.folders = set()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.entry("TRAILER!!!", 0, b"")
        self.out.close()

    def pad(self):
        self.out.write(b"\0" * (-self.out.tell() % 4))

    def head(self, name, mode, size, device=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, size, 0, 0, *device, len(raw), 0)
        self.out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + raw)
        self.pad()

    def entry(self, name, mode, data, device=(0, 0)):
        self.head(name, mode, len(data), device)
        self.out.write(data)
        self.pad()

    def folder(self, name):
        parts = pathlib.PurePosixPath(name).parts
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            if path not in self.folders:
                self.folders.add(path)
                self.entry(path, stat.S_IFDIR | 0o755, b"")

    def parent(self, name):
        self.folder(str(pathlib.PurePosixPath(name).parent))

    def text(self, name, text, mode=0o644):
        self.parent(name)
        self.entry(name, stat.S_IFREG | mode, text if isinstance(text, bytes) else text.encode())

    def link(self, name, target):
        self.parent(name)
        self.entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, kind, major, minor):
        self.parent(name)
        self.entry(name, kind | 0o600, b"", (major, minor))

    def file(self, name, source):
        """Streams a file in; the right to execute it comes along."""
        self.parent(name)
        source = pathlib.Path(source)
        info = source.stat()
        self.head(name, stat.S_IFREG | (0o755 if info.st_mode & 0o111 else 0o644), info.st_size)
        with open(source, "rb") as data:
            copied = 0
            while block := data.read(1 << 20):
                self.out.write(block)
                copied += len(block)
        if copied != info.st_size:
            raise OSError(f"{source} changed while it was read")
        self.pad()

    def append(self, archive):
        """Another archive as it is; both stay separate segments."""
        self.entry("TRAILER!!!", 0, b"")
        with open(archive, "rb") as data:
            while block := data.read(1 << 20):
                self.out.write(block)
        self.pad()
        self.folders.clear()


def tree(archive, root, prefix=""):
    """Everything below `root`, in a fixed order; links stay links."""
    for folder, subfolders, files in os.walk(root):
        subfolders.sort()
        below = pathlib.Path(folder).relative_to(root)
        for name in sorted(files):
            source = pathlib.Path(folder) / name
            target = str(pathlib.PurePosixPath(prefix) / below / name)
            if source.is_symlink():
                archive.link(target, os.readlink(source))
            else:
                archive.file(target, source)
