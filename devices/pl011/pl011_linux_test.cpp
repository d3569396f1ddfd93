// SPDX-License-Identifier: Apache-2.0
// What Linux' drivers do with the UART, in the order of their accesses: consoles before and after
// the driver is there, opening the port, and output and input by interrupt.
#include "pl011/pl011_rig.hpp"

namespace vmm {
namespace {

struct Pl011LinuxTest : Pl011Test {
    void early_putc(char c, AccessSize size) {
        while ((in(kFr)&0x20u) != 0)
            FAIL() << "full";
        outl(kDr, static_cast<unsigned char>(c), size);
        while ((in(kFr)&0x08u) != 0)
            FAIL() << "busy";
    }
    /// As the driver's interrupt handler empties the receiver.
    std::string receive_all() {
        std::string taken;
        while ((in(kFr, AccessSize::Word) & 0x10u) == 0)
            taken.push_back(static_cast<char>(in(kDr, AccessSize::Word)));
        return taken;
    }
    void open_port() {
        outl(kIcr, 0x7d0, AccessSize::Word);
        outl(kImsc, kRx | kRt, AccessSize::Word);
        outl(kIfls, 0x12, AccessSize::Word);
        outl(kIbrd, 0x0d, AccessSize::Word);
        outl(kLcrH, kFifos, AccessSize::Word);
        outl(kCr, 0xb01, AccessSize::Word);
        outl(kIcr, kRt | kRx, AccessSize::Word);
        receive_all();
        outl(kImsc, kRt | kRx, AccessSize::Word);
    }
};

TEST_F(Pl011LinuxTest, EarlyConsoleIsSeenBeforeAnybodyEnabledTheUart) {
    for (const char c : std::string_view{"early"})
        early_putc(c, AccessSize::Byte);
    for (const char c : std::string_view{" mmio32"})
        early_putc(c, AccessSize::Dword);

    EXPECT_EQ(out.seen, "early mmio32");
}

TEST_F(Pl011LinuxTest, BusFindsAPl011WithFifosOfThirtyTwo) {
    std::uint64_t part = 0;
    std::uint64_t cell = 0;
    for (unsigned i = 0; i < 4; ++i) {
        part |= (in(0xfe0 + 4 * i) & 255u) << 8 * i;
        cell |= (in(0xff0 + 4 * i) & 255u) << 8 * i;
    }

    EXPECT_EQ(cell, 0xb105f00du);
    EXPECT_EQ(part & 0x000fffffu, 0x00041011u);
    EXPECT_EQ(part >> 20U & 0xfu, 3u);  // revision; from 3 on the FIFOs are 32 deep
}

TEST_F(Pl011LinuxTest, InputTypedDuringBootReachesThePortOnceItIsOpen) {
    outl(kCr, 0x301, AccessSize::Word);  // the console prints
    EXPECT_EQ(type("root\n"), 0u);

    open_port();
    EXPECT_GE(out.resumed, 1u);
    EXPECT_EQ(type("root\n"), 5u);

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(receive_all(), "root\n");
    EXPECT_FALSE(irq.high);
}

TEST_F(Pl011LinuxTest, OutputByInterruptFillsHalfAFifoEachTime) {
    open_port();
    std::string text(100, 'x');
    out.room = 10;
    std::size_t at = 0;
    while (at < text.size() && (in(kFr, AccessSize::Word) & 0x20u) == 0)
        outl(kDr, static_cast<unsigned char>(text[at++]), AccessSize::Word);
    EXPECT_EQ(at, 42u);  // what the host took, and a FIFO
    outl(kImsc, kRt | kRx | kTx, AccessSize::Word);

    while (at < text.size()) {
        ASSERT_FALSE(irq.high);
        out.room = 16;
        device.on_room();
        ASSERT_TRUE(irq.high);
        // Promised by the interrupt, so without looking at the flags.
        for (int i = 0; i < 16 && at < text.size(); ++i)
            outl(kDr, static_cast<unsigned char>(text[at++]), AccessSize::Word);
    }
    out.room = 100;
    device.on_room();

    EXPECT_EQ(out.seen, text);
    EXPECT_EQ(out.lost, 0u);
}

// Kernels of old make the transmitter's interrupt rise by a byte in loop-back.
TEST_F(Pl011LinuxTest, ProvokedTransmitInterruptIsThere) {
    outl(kCr, 0x181);
    outl(kLcrH, 0);
    outl(kDr, 0);
    EXPECT_EQ(in(kFr)&0x08u, 0u);
    outl(kCr, 0x301);
    outl(kImsc, kTx);

    EXPECT_TRUE(irq.high);
    EXPECT_THAT(out.seen, IsEmpty());
    EXPECT_EQ(receive_all(), "");
}

}  // namespace
}  // namespace vmm
