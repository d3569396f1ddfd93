#include "vmm/event_fd.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace vmm {

Result<EventFd> EventFd::create() {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return std::unexpected(Error::os("eventfd", errno));
    return EventFd{UniqueFd{fd}};
}

void EventFd::signal() const noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then whoever waits is awake already.
    [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
}

bool EventFd::drain() const noexcept {
    std::uint64_t count = 0;
    return ::read(fd_.get(), &count, sizeof count) == sizeof count;
}

}  // namespace vmm
