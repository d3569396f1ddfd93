// SPDX-License-Identifier: Apache-2.0
// How long it is worth to look for the next chain before asking for a kick.
//
// A kick costs the driver an exit and the I/O thread a wake-up, several microseconds each. A driver
// that always has its next chain ready sooner than that is better waited for in a loop, without
// either. How soon it is shows from the time between going to rest and the next chain: if that was
// short the time to look grows, if it was long it becomes zero. A driver that is idle, or slower
// than kMost, costs two readings of the clock for each kick; one that changes its mind costs a look
// of at most kMost, once.
//
// On a host with one processor there is nobody to wait for: there the time is always zero, and the
// clock is not looked at.
// Threads: one.
#pragma once

#include <algorithm>
#include <chrono>

namespace vmm::virtio {

class Linger {
public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::nanoseconds kFirst{4'000};
    static constexpr std::chrono::nanoseconds kMost{32'000};

    explicit Linger(bool allowed) : allowed_{allowed} {}

    bool allowed() const noexcept { return allowed_; }
    /// How long to look now.
    std::chrono::nanoseconds window() const noexcept { return window_; }

    /// Nothing is there; the time runs from now on.
    void rest(Clock::time_point now) noexcept {
        rested_ = now;
        resting_ = true;
    }
    /// Something came, but only after kicks had been asked for.
    void woken(Clock::time_point now) noexcept {
        if (!resting_)
            return;
        resting_ = false;
        const bool soon = now - rested_ <= kMost;
        window_ = soon ? std::clamp(2 * window_, kFirst, kMost) : std::chrono::nanoseconds{0};
    }
    /// Something came in time.
    void met() noexcept { resting_ = false; }

private:
    Clock::time_point rested_;
    std::chrono::nanoseconds window_{0};
    bool allowed_;
    bool resting_ = false;
};

}  // namespace vmm::virtio
