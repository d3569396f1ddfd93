// SPDX-License-Identifier: Apache-2.0
// Time that stands still until the test moves it.
#pragma once

#include <chrono>

#include "vmm/clock.hpp"

namespace vmm::test {

struct FakeClock final : Clock {
    std::chrono::sys_time<std::chrono::nanoseconds> now{};  ///< 1970-01-01 until set

    std::chrono::sys_time<std::chrono::nanoseconds> utc() const noexcept override { return now; }

    void advance(std::chrono::nanoseconds by) { now += by; }
};

}  // namespace vmm::test
