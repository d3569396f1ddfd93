// A one-shot alarm whose time comes from outside, so that tests own it.
#pragma once

#include <chrono>

namespace vmm {

/// A port: leaf calls. Any thread. What happens when it expires was given when it was made; it is
/// called from the machine's loop, without any lock held.
class Timer {
public:
    virtual ~Timer() = default;

    /// `deadline` as Clock::uptime() counts; replaces an earlier one.
    virtual void arm(std::chrono::nanoseconds deadline) noexcept = 0;
    virtual void cancel() noexcept = 0;
};

}  // namespace vmm
