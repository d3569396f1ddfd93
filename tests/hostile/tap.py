# SPDX-License-Identifier: Apache-2.0
"""A tap interface whose other end sends back what the guest sends out."""
import contextlib
import fcntl
import os
import pathlib
import socket
import struct
import threading

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x0100, 0x1000, 0x4000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
EXPERIMENTAL = 0x88B5  # ethertype
OUTGOING = 4  # of a packet socket: a frame that went out, so not one of the guest's


class Tap:
    """Raises OSError where this host has no such thing, or not for us. Its interface goes with it."""

    def __init__(self, queues=1):
        self.fds = [os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC) for _ in range(queues)]
        try:
            flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if queues > 1 else 0)
            self.name = "vmmhost%d"
            for fd in self.fds:
                asked = struct.pack("16sH22x", self.name.encode(), flags)
                self.name = fcntl.ioctl(fd, TUNSETIFF, asked)[:16].rstrip(b"\0").decode()
            self._bring_up()  # before the socket, which would find it down
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EXPERIMENTAL))
            self.socket.bind((self.name, EXPERIMENTAL))
        except OSError:
            self._close_fds()
            raise
        self.thread = threading.Thread(target=self._echo, daemon=True)
        self.thread.start()

    def _bring_up(self):
        with contextlib.suppress(OSError):  # the host's own neighbour discovery is only noise
            pathlib.Path("/proc/sys/net/ipv6/conf", self.name, "disable_ipv6").write_text("1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", self.name.encode(), IFF_UP))

    def _echo(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                frame, place = self.socket.recvfrom(70000)
                if place[2] != OUTGOING:
                    with contextlib.suppress(OSError):  # there is no room for it
                        self.socket.send(frame)

    def flags(self, mac):
        fds = str(self.fds[0]) if len(self.fds) == 1 else f"[{','.join(map(str, self.fds))}],num_queues={2 * len(self.fds)}"
        return ["--net", f"fd={fds},mac={mac}"]

    def _close_fds(self):
        for fd in self.fds:
            os.close(fd)

    def close(self):
        self.socket.close()
        self._close_fds()
