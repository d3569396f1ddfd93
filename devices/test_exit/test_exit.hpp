// SPDX-License-Identifier: Apache-2.0
// A port for tests: a guest that writes into it ends, with what it wrote as its verdict.
//
// Not on real hardware; off unless asked for. Any guest that finds it can end the machine, as it
// can by powering off.
#pragma once

#include <cstdint>

#include "vmm/io_device.hpp"

namespace vmm {

/// A port: a leaf call, as GuestEvents. Any thread.
class TestExitEvents {
public:
    virtual ~TestExitEvents() = default;
    virtual void exit_requested(std::uint32_t value) noexcept = 0;
};

class TestExit final : public IoDevice {
public:
    static constexpr std::uint64_t kRegionSize = 4;  // bytes

    explicit TestExit(TestExitEvents& events) : events_{events} {}

    /// All ones: nothing to read.
    std::uint64_t read(Access access) noexcept override;
    /// 8, 16 or 32 bits at offset 0.
    void write(Access access, std::uint64_t value) noexcept override;

private:
    TestExitEvents& events_;
};

}  // namespace vmm
