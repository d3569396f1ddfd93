// SPDX-License-Identifier: Apache-2.0
#include "vmm/standard_fds.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace vmm {

void open_standard_fds() noexcept {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            // The lowest free number is this one. Without /dev/null nothing can be done about it.
            [[maybe_unused]]
            const int opened = ::open("/dev/null", O_RDWR);
}

}  // namespace vmm
