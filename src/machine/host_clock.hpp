// Time as the host has it.
#pragma once

#include <chrono>

#include "vmm/clock.hpp"

namespace vmm::machine {

class HostClock final : public Clock {
public:
    std::chrono::nanoseconds uptime() const noexcept override {
        return std::chrono::steady_clock::now() - start_;
    }
    std::chrono::sys_time<std::chrono::nanoseconds> utc() const noexcept override {
        return std::chrono::system_clock::now();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace vmm::machine
