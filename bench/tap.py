# SPDX-License-Identifier: Apache-2.0
"""A persistent tap interface, for as long as a `with` lasts."""
import contextlib
import fcntl
import os
import pathlib
import socket
import struct
import time

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


class NoTap(Exception):
    """This host has no such thing, or not for this user."""


@contextlib.contextmanager
def tap():
    """The name of an interface that is up."""
    try:
        name = _set("vmmbench%d", persist=1)
    except OSError as error:
        raise NoTap(f"no tap interface: {error}") from error
    try:
        _bring_up(name)
        yield name
    finally:
        wait_until_free(name)
        _set(name, persist=0)


def wait_until_free(name, timeout=5):
    """io_uring releases its files some time after the process is gone."""
    end = time.monotonic() + timeout
    while True:
        try:
            return _set(name, persist=1)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _set(name, persist):
    """Opens the interface, or makes it, and lets it stay or not; gives its name."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        asked = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        made = fcntl.ioctl(fd, TUNSETIFF, asked)[:16].rstrip(b"\0").decode()
        fcntl.ioctl(fd, TUNSETPERSIST, persist)
    finally:
        os.close(fd)
    return made


def _bring_up(name):
    with contextlib.suppress(OSError):  # the host's own neighbour discovery is only noise
        pathlib.Path("/proc/sys/net/ipv6/conf", name, "disable_ipv6").write_text("1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), IFF_UP))
