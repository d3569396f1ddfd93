// SPDX-License-Identifier: Apache-2.0
// A symbolic link to a pseudo-terminal, for a name that stays the same from start to start.
//
// A link that a process left which ended without a chance to remove it (SIGKILL) is replaced; one
// whose machine runs is not, nor anything that is no link to a pseudo-terminal. Which machine runs
// is told by a lock on the terminal (an OFD lock, fcntl(2), that terminal programs do not use).
#pragma once

#include <string>

#include "vmm/error.hpp"

namespace vmm {

class TerminalLink {
public:
    /// Makes `path` lead to `terminal`, which is open for reading and writing as `fd`; whoever
    /// finds `path` finds either what was there or the new link. `fd` stays open for as long as
    /// this.
    static Result<TerminalLink> create(const std::string& path, const std::string& terminal,
                                       int fd);

    TerminalLink(TerminalLink&& other) noexcept;
    TerminalLink& operator=(TerminalLink&&) = delete;
    ~TerminalLink();  ///< removes the link if it is still ours

private:
    TerminalLink(std::string path, std::string terminal)
        : path_{std::move(path)}, terminal_{std::move(terminal)} {}

    std::string path_;
    std::string terminal_;
};

}  // namespace vmm
