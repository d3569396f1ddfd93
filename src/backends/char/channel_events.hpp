// SPDX-License-Identifier: Apache-2.0
// What a character channel waits for: a private epoll descriptor, in which each descriptor says
// once that it is ready and is then silent until it is armed again.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <utility>

#include "vmm/host_stream.hpp"

namespace vmm {

enum class ChannelEvent : std::uint8_t { Wake, Timer, Input, Output, Watched };

/// Threads: the loop's. The descriptor belongs to somebody else, who outlives this.
class ChannelEvents {
public:
    explicit ChannelEvents(int epoll) : epoll_{epoll} {}

    int fd() const noexcept { return epoll_; }

    /// One event, then silence until armed again: nothing that cannot be acted on keeps us awake.
    /// False for what cannot be waited for, such as a file.
    bool arm(int fd, ChannelEvent event, std::uint32_t flags) const noexcept {
        epoll_event wanted{};
        wanted.events = flags | EPOLLONESHOT;
        wanted.data.u32 = std::to_underlying(event);
        if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &wanted) == 0)
            return true;
        return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &wanted) == 0;
    }
    void disarm(const HostStream& stream) const noexcept {
        if (stream)
            ::epoll_ctl(epoll_, EPOLL_CTL_DEL, stream.fd(), nullptr);
    }

private:
    int epoll_;
};

}  // namespace vmm
