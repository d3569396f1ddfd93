// SPDX-License-Identifier: Apache-2.0
// Time as the host has it.
#pragma once

#include <chrono>

#include "vmm/clock.hpp"

namespace vmm::machine {

class HostClock final : public Clock {
public:
    std::chrono::sys_time<std::chrono::nanoseconds> utc() const noexcept override {
        return std::chrono::system_clock::now();
    }
};

}  // namespace vmm::machine
