// SPDX-License-Identifier: Apache-2.0
// What the tests of the UART share: the UART between a fake sink and a recorded pin.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "pl011/pl011.hpp"
#include "support/fake_byte_sink.hpp"
#include "support/recording_irq_line.hpp"

namespace vmm {

using testing::ElementsAre;
using testing::IsEmpty;

inline constexpr unsigned kDr = 0x00;
inline constexpr unsigned kRsr = 0x04;
inline constexpr unsigned kFr = 0x18;
inline constexpr unsigned kIlpr = 0x20;
inline constexpr unsigned kIbrd = 0x24;
inline constexpr unsigned kFbrd = 0x28;
inline constexpr unsigned kLcrH = 0x2c;
inline constexpr unsigned kCr = 0x30;
inline constexpr unsigned kIfls = 0x34;
inline constexpr unsigned kImsc = 0x38;
inline constexpr unsigned kRis = 0x3c;
inline constexpr unsigned kMis = 0x40;
inline constexpr unsigned kIcr = 0x44;
inline constexpr unsigned kDmacr = 0x48;

inline constexpr unsigned kFifos = 0x70;      // LCR_H: FEN, 8 bits
inline constexpr unsigned kLoopBack = 0x380;  // CR: LBE, RXE, TXE

// Interrupts
inline constexpr unsigned kModem = 0x00f;
inline constexpr unsigned kRx = 0x010;
inline constexpr unsigned kTx = 0x020;
inline constexpr unsigned kRt = 0x040;
inline constexpr unsigned kOe = 0x400;

struct Pl011Test : testing::Test {
    test::RecordingIrqLine irq;
    test::FakeByteSink out;
    Pl011 device{irq, out};

    std::uint64_t in(unsigned at, AccessSize size = AccessSize::Dword) {
        return device.read({.offset = at, .size = size});
    }
    void outl(unsigned at, unsigned value, AccessSize size = AccessSize::Dword) {
        device.write({.offset = at, .size = size}, value);
    }
    void send(std::string_view text) {
        for (const char c : text)
            outl(kDr, static_cast<unsigned char>(c));
    }
    std::size_t type(std::string_view text) {
        return device.receive(std::as_bytes(std::span{text}));
    }
    std::string take(std::size_t count) {
        std::string taken;
        for (std::size_t i = 0; i < count; ++i)
            taken.push_back(static_cast<char>(in(kDr)));
        return taken;
    }
    /// With FIFOs, and listening.
    void open() {
        outl(kLcrH, kFifos);
        outl(kCr, 0x301);
        outl(kImsc, kRx | kRt);
    }
};

}  // namespace vmm
