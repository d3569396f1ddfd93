// SPDX-License-Identifier: Apache-2.0
// How long a busy channel is left alone before it is looked at again.
//
// A thread that reads each frame as soon as it comes is woken for each few of them, and where
// frames are short and many the waking costs more than the frames: sender, driver and this thread
// take processors from each other. So it does what network cards do under load (interrupt
// moderation): once kMany frames came within kSoon, it waits for kRest instead of for the next one,
// and takes what has come by then together. Where that were fewer than kWorth, the frames may be
// slow because of the rest (each sender waits for an answer to its last one), and it does not try
// again for kPatience. Large frames are worth a wake-up each.
// Threads: one.
#pragma once

#include <chrono>
#include <cstdint>

namespace vmm::virtio_net {

class Moderation {
public:
    using Clock = std::chrono::steady_clock;
    using Time = std::chrono::nanoseconds;
    static constexpr Time kRest{100'000};
    static constexpr Time kSoon{1'000'000};
    static constexpr Time kPatience{10'000'000};
    static constexpr std::uint64_t kMany = 64;
    static constexpr std::uint64_t kWorth = 32;
    static constexpr std::uint64_t kLarge = 2048;  // bytes

    /// The channel is empty now. Since the last time that it was it gave `frames`, of about `bytes`
    /// each.
    void emptied(std::uint64_t frames, std::uint64_t bytes, Clock::time_point now) noexcept {
        if (bytes >= kLarge)
            frames = 0;
        if (rest_.count() > 0) {
            if (frames < kWorth)
                begin(now + kPatience);
            return;
        }
        if (now < start_)
            return;
        frames_ += frames;
        if (now - start_ > kSoon)
            begin(now);
        else if (frames_ >= kMany)
            rest_ = kRest;
    }

    /// How long to leave it alone.
    Time rest() const noexcept { return rest_; }

private:
    void begin(Clock::time_point when) noexcept {
        start_ = when;
        frames_ = 0;
        rest_ = Time{0};
    }

    Clock::time_point start_;
    std::uint64_t frames_ = 0;  // since then
    Time rest_{0};
};

}  // namespace vmm::virtio_net
