// SPDX-License-Identifier: Apache-2.0
// The addresses of the board's devices, for --debug-exit. src/machine asserts that they are there.
#pragma once

#include <array>

#include "config/board.hpp"

namespace vmm::config::aarch64 {

inline constexpr auto kInUse = std::array{
    InUse{0x0800'0000, 0x0100'0000, InUse::When::Always, "the interrupt controller"},
    InUse{0x0900'0000, 0x1000, InUse::When::WithSerial, "the serial port"},
    InUse{0x0901'0000, 0x1000, InUse::When::Always, "the real-time clock"},
    InUse{0x0903'0000, 0x1000, InUse::When::Always, "the power button"},
    InUse{0x1000'0000, 0x2f00'0000, InUse::When::WithPci, "PCI devices"},
    InUse{0x3f00'0000, 0x0010'0000, InUse::When::Always, "PCI configuration"},
};

}  // namespace vmm::config::aarch64
