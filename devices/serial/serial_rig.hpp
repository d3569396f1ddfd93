// SPDX-License-Identifier: Apache-2.0
// What the tests of the serial port share: the port between a fake sink and a recorded pin.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string_view>

#include "serial/serial.hpp"
#include "support/fake_byte_sink.hpp"
#include "support/recording_irq_line.hpp"

namespace vmm {

using testing::ElementsAre;
using testing::IsEmpty;

inline constexpr unsigned kData = 0;
inline constexpr unsigned kIer = 1;
inline constexpr unsigned kIir = 2;
inline constexpr unsigned kFcr = 2;
inline constexpr unsigned kLcr = 3;
inline constexpr unsigned kMcr = 4;
inline constexpr unsigned kLsr = 5;
inline constexpr unsigned kMsr = 6;
inline constexpr unsigned kScr = 7;

struct SerialTest : testing::Test {
    test::RecordingIrqLine irq;
    test::FakeByteSink out;
    Serial device{irq, out};

    std::uint64_t in(unsigned at) { return device.read({.offset = at, .size = AccessSize::Byte}); }
    void outb(unsigned at, unsigned value) {
        device.write({.offset = at, .size = AccessSize::Byte}, value);
    }
    void send(std::string_view text) {
        for (const char c : text)
            outb(kData, static_cast<unsigned char>(c));
    }
    std::size_t type(std::string_view text) {
        return device.receive(std::as_bytes(std::span{text}));
    }
    std::string take(std::size_t count) {
        std::string taken;
        for (std::size_t i = 0; i < count; ++i)
            taken.push_back(static_cast<char>(in(kData)));
        return taken;
    }
};

}  // namespace vmm
