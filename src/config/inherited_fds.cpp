// SPDX-License-Identifier: Apache-2.0
#include "config/inherited_fds.hpp"

#include <fcntl.h>

#include "vmm/text.hpp"

namespace vmm::config {

Result<> check_inherited_fds(const VmConfig& config) {
    for (std::size_t i = 0; i < config.net.size(); ++i)
        for (const auto fd : config.net[i].fds)
            if (::fcntl(static_cast<int>(fd), F_GETFD) < 0)
                return std::unexpected(
                    Error{ErrorKind::Config, cat("net[", i, "].fds (--net): descriptor ", fd,
                                                 " was not open when vmm was started")}
                        .hint("Open /dev/net/tun, attach it to an interface with TUNSETIFF, and "
                              "start vmm with that descriptor open and without close-on-exec."));
    return {};
}

}  // namespace vmm::config
