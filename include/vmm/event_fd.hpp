// A counter that threads, processes and KVM can signal and wait for: eventfd(2).
#pragma once

#include <cstdint>

#include "vmm/error.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

/// Non-blocking and close-on-exec. Threads: any.
class EventFd {
public:
    static Result<EventFd> create();

    void signal() const noexcept;
    /// Takes the count and sets it to zero; false when nothing was signalled.
    bool drain() const noexcept;

    int fd() const noexcept { return fd_.get(); }

private:
    explicit EventFd(UniqueFd fd) : fd_{std::move(fd)} {}

    UniqueFd fd_;
};

}  // namespace vmm
