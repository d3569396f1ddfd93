// SPDX-License-Identifier: Apache-2.0
// What the tests of the GPIO controller share: the controller at a recorded pin.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pl061/pl061.hpp"
#include "support/recording_irq_line.hpp"

namespace vmm {

using testing::ElementsAre;
using testing::IsEmpty;

inline constexpr unsigned kDir = 0x400;
inline constexpr unsigned kIs = 0x404;
inline constexpr unsigned kIbe = 0x408;
inline constexpr unsigned kIev = 0x40c;
inline constexpr unsigned kIe = 0x410;
inline constexpr unsigned kRis = 0x414;
inline constexpr unsigned kMis = 0x418;
inline constexpr unsigned kIc = 0x41c;
inline constexpr unsigned kAfsel = 0x420;

inline constexpr unsigned kAllData = 0x3fc;
inline constexpr unsigned data_of(unsigned line) {
    return 4U << line;
}

struct Pl061Test : testing::Test {
    test::RecordingIrqLine irq;
    Pl061 device{irq};

    std::uint64_t in(unsigned at, AccessSize size = AccessSize::Byte) {
        return device.read({.offset = at, .size = size});
    }
    void outb(unsigned at, unsigned value, AccessSize size = AccessSize::Byte) {
        device.write({.offset = at, .size = size}, value);
    }
};

}  // namespace vmm
