// SPDX-License-Identifier: Apache-2.0
// A timer that a loop can wait for and that goes off once: timerfd_create(2).
#pragma once

#include <algorithm>
#include <chrono>

#include "vmm/error.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

/// Non-blocking, close-on-exec; readable once it has gone off.
Result<UniqueFd> make_one_shot_timer();

/// Starts it anew. Requires: after > 0.
void start_once(const UniqueFd& timer, std::chrono::nanoseconds after) noexcept;
void stop_timer(const UniqueFd& timer) noexcept;

/// Whether it has gone off since it was started, or since this was asked last.
bool take_expiry(const UniqueFd& timer) noexcept;

/// For a poll() that ends then: 0 to 100 ms, so that whoever asks looks around again.
inline int milliseconds_until(std::chrono::steady_clock::time_point end) noexcept {
    using std::chrono::milliseconds;
    const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp(left, milliseconds{0}, milliseconds{100}).count());
}

}  // namespace vmm
