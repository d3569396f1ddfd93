// SPDX-License-Identifier: Apache-2.0
// The I/O ports of the PC's devices, for --debug-exit. src/machine asserts that they are there.
#pragma once

#include <array>

#include "config/board.hpp"

namespace vmm::config::x86_64 {

inline constexpr auto kInUse = std::array{
    InUse{0x70, 2, InUse::When::Always, "the real-time clock"},
    InUse{0x3f8, 8, InUse::When::WithSerial, "the serial port"},
    InUse{0x600, 16, InUse::When::Always, "ACPI"},
    InUse{0xcf8, 8, InUse::When::WithPci, "PCI configuration"},
    InUse{0x1000, 0xf000, InUse::When::WithPci, "PCI devices"},
};

}  // namespace vmm::config::x86_64
