// SPDX-License-Identifier: Apache-2.0
// A counter that threads, processes and KVM can signal and wait for: eventfd(2).
#pragma once

#include <cstdint>

#include "vmm/error.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

/// Close-on-exec. Threads: any.
class EventFd {
public:
    static Result<EventFd> create();
    /// One that wait() can be called for.
    static Result<EventFd> create_waitable();

    void signal() const noexcept;
    /// Takes the count and sets it to zero; false when nothing was signalled. Never waits.
    bool drain() const noexcept;
    /// Waits until there is a count and takes it: one system call, where epoll costs more.
    void wait() const noexcept;

    int fd() const noexcept { return fd_.get(); }

private:
    static Result<EventFd> make(int flags);
    explicit EventFd(UniqueFd fd) : fd_{std::move(fd)} {}

    UniqueFd fd_;
};

}  // namespace vmm
