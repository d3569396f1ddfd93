// SPDX-License-Identifier: Apache-2.0
// preadv2 and pwritev2 as far as this project uses them: Debian 12's qemu-aarch64 knows neither.
// Linked into test programs that it runs, where these come before glibc's.
#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

extern "C" {

ssize_t preadv2(int fd, const iovec* to, int count, off_t at, int flags) {
    if ((flags & RWF_NOWAIT) != 0) {
        pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
        if (::poll(&readable, 1, 0) != 1) {
            errno = EAGAIN;
            return -1;
        }
    }
    return at == -1 ? ::readv(fd, to, count) : ::preadv(fd, to, count, at);
}

ssize_t pwritev2(int fd, const iovec* from, int count, off_t at, int flags) {
    const auto written = at == -1 ? ::writev(fd, from, count) : ::pwritev(fd, from, count, at);
    if (written >= 0 && (flags & RWF_DSYNC) != 0 && ::fdatasync(fd) != 0)
        return -1;
    return written;
}

}  // extern "C"
