// SPDX-License-Identifier: Apache-2.0
#include "vmm/event_fd.hpp"

#include <sys/eventfd.h>
#include <sys/uio.h>

#include <cerrno>

#include "vmm/direct_calls.hpp"

namespace vmm {

Result<EventFd> EventFd::create() {
    return make(EFD_NONBLOCK);
}

Result<EventFd> EventFd::create_waitable() {
    return make(0);
}

Result<EventFd> EventFd::make(int flags) {
    const int fd = ::eventfd(0, EFD_CLOEXEC | flags);
    if (fd < 0)
        return std::unexpected(Error::os("eventfd", errno));
    return EventFd{UniqueFd{fd}};
}

void EventFd::signal() const noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then whoever waits is awake already.
    [[maybe_unused]] const auto written = direct::write(fd_.get(), &one, sizeof one);
}

bool EventFd::drain() const noexcept {
    std::uint64_t count = 0;
    const iovec to{.iov_base = &count, .iov_len = sizeof count};
    return ::preadv2(fd_.get(), &to, 1, -1, RWF_NOWAIT) == sizeof count;
}

void EventFd::wait() const noexcept {
    std::uint64_t count = 0;
    while (direct::read(fd_.get(), &count, sizeof count) < 0 && errno == EINTR) {
    }
}

}  // namespace vmm
