// SPDX-License-Identifier: Apache-2.0
// The UART's state, saved and restored into another one.
#include "pl011/pl011_rig.hpp"
#include "support/saved_state.hpp"

namespace vmm {
namespace {

struct Pl011StateTest : Pl011Test {
    test::RecordingIrqLine other_irq;
    test::FakeByteSink other_out;
    Pl011 other{other_irq, other_out};

    std::uint64_t other_in(unsigned at) {
        return other.read({.offset = at, .size = AccessSize::Dword});
    }
    /// Of the state, whose section begins with six bytes of its own, as 16 bits at `at`.
    std::string restored_with(unsigned at, unsigned value) {
        auto state = test::saved(device);
        state[6 + at] = std::byte{static_cast<unsigned char>(value)};
        state[6 + at + 1] = std::byte{static_cast<unsigned char>(value >> 8U)};
        return test::restored(device, state);
    }
};

TEST_F(Pl011StateTest, RegistersAndReceivedBytesComeBack) {
    open();
    outl(kIlpr, 0x5a);
    outl(kIbrd, 0x1234);
    outl(kFbrd, 0x15);
    outl(kIfls, 0x09);
    outl(kDmacr, 0x5);
    outl(kImsc, 0x7ff);
    send("x");
    EXPECT_EQ(type("0123456789"), 10u);
    ASSERT_EQ(take(1), "0");

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_TRUE(other_irq.high);
    for (const unsigned at :
         {kRsr, kFr, kIlpr, kIbrd, kFbrd, kLcrH, kCr, kIfls, kImsc, kRis, kMis, kDmacr})
        EXPECT_EQ(other_in(at), in(at)) << at;
    for (const char c : std::string_view{"123456789"})
        EXPECT_EQ(other_in(kDr), static_cast<unsigned char>(c));
    EXPECT_EQ(other_in(kMis), kTx);
}

TEST_F(Pl011StateTest, BytesThatWaitForRoomAreSentByTheOtherOne) {
    outl(kLcrH, kFifos);
    out.room = 0;
    send("late");

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_EQ(other_out.seen, "late");
    EXPECT_EQ(other_in(kFr) & 0xf8u, 0x90u);
    EXPECT_EQ(other_in(kRis), kTx);
}

TEST_F(Pl011StateTest, LoopBackAndOverrunComeBack) {
    outl(kCr, kLoopBack | 0x2000);
    send("ab");

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_EQ(other_in(kRis), kOe | kRt | kTx | kRx | kModem);
    EXPECT_EQ(other_in(kFr) & 0x107u, 0x100u);
    EXPECT_EQ(other_in(kRsr), 0x8u);
    EXPECT_EQ(other_in(kDr), 0x800u | 'a');
}

TEST_F(Pl011StateTest, ClearedReceiveInterruptStaysCleared) {
    open();
    type(std::string(16, 'x'));
    outl(kIcr, kRx);

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_EQ(other_in(kRis), kRt);
}

TEST_F(Pl011StateTest, BadStateIsRefusedAsAWhole) {
    open();
    EXPECT_EQ(type("four"), 4u);
    EXPECT_EQ(test::half_taken_states(device), 0u);
    outl(kCr, kLoopBack);
    send(std::string(29, 'x'));
    EXPECT_EQ(test::half_taken_states(device), 0u);
    out.room = 0;
    outl(kCr, 0x301);
    send("wait");
    EXPECT_EQ(test::half_taken_states(device), 0u);
}

TEST_F(Pl011StateTest, FieldsThatTheUartNeverHasAreRefused) {
    open();
    EXPECT_EQ(type("four"), 4u);

    EXPECT_EQ(restored_with(0, 0x0308),
              "the state of the UART is wrong: field 'control' has bits that are not kept");
    EXPECT_EQ(restored_with(6, 0x0080),
              "the state of the UART is wrong: field 'interrupts' has bits that are not kept");
    EXPECT_EQ(restored_with(6, kRx),
              "the state of the UART is wrong: field 'interrupts' do not fit the bytes that wait");
    EXPECT_EQ(restored_with(2, 0x1200),  // without FIFOs there is room for one byte
              "the state of the UART is wrong: field 'received bytes' is out of range");
    EXPECT_EQ(take(4), "four");
    EXPECT_EQ(restored_with(14, 0x0001),
              "the state of the UART is wrong: field 'overrun in data' has no data");
}

}  // namespace
}  // namespace vmm
