// SPDX-License-Identifier: Apache-2.0
// The port's state, saved and restored into another one.
#include "serial/serial.hpp"
#include "serial/serial_rig.hpp"
#include "support/saved_state.hpp"

namespace vmm {
namespace {

struct SerialStateTest : SerialTest {
    test::RecordingIrqLine other_irq;
    test::FakeByteSink other_out;
    Serial other{other_irq, other_out};
    std::uint64_t other_in(unsigned at) {
        return other.read({.offset = at, .size = AccessSize::Byte});
    }
};

TEST_F(SerialStateTest, RegistersAndReceivedBytesComeBack) {
    outb(kLcr, 0x83);
    outb(kData, 0x0c);
    outb(kLcr, 0x03);
    outb(kFcr, 0x81);
    outb(kIer, 0x01);
    outb(kMcr, 0x0b);
    outb(kScr, 0x5a);
    EXPECT_EQ(type("input"), 5u);
    ASSERT_EQ(take(1), "i");

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_TRUE(other_irq.high);
    EXPECT_EQ(other_in(kIer), 0x01u);
    EXPECT_EQ(other_in(kIir), 0xccu);  // character timeout: 4 bytes, trigger level 8
    EXPECT_EQ(other_in(kLcr), 0x03u);
    EXPECT_EQ(other_in(kMcr), 0x0bu);
    EXPECT_EQ(other_in(kLsr), 0x61u);
    EXPECT_EQ(other_in(kScr), 0x5au);
    for (const char c : {'n', 'p', 'u', 't'})
        EXPECT_EQ(other_in(kData), static_cast<unsigned char>(c));
    EXPECT_FALSE(other_irq.high);
    other.write({.offset = kLcr, .size = AccessSize::Byte}, 0x80);
    EXPECT_EQ(other_in(kData), 0x0cu);
}

TEST_F(SerialStateTest, BytesThatWaitForRoomAreSentByTheOtherOne) {
    outb(kFcr, 0x01);
    out.room = 0;
    send("late");

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_EQ(other_out.seen, "late");
    EXPECT_EQ(other_in(kLsr) & 0x60u, 0x60u);
}

TEST_F(SerialStateTest, LoopBackAndUnreadDeltasComeBack) {
    outb(kMcr, 0x10);
    const auto deltas = in(kMsr);
    outb(kMcr, 0x12);

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_NE(deltas, 0u);
    EXPECT_EQ(other_in(kMsr), 0x11u);  // CTS, and that it changed
    EXPECT_EQ(other_in(kMsr), 0x10u);
}

TEST_F(SerialStateTest, BadStateIsRefusedAsAWhole) {
    outb(kFcr, 0xc1);
    outb(kIer, 0x0f);
    EXPECT_EQ(type("four"), 4u);
    EXPECT_EQ(test::half_taken_states(device), 0u);

    auto state = test::saved(device);
    state[7] = std::byte{0x00};  // without FIFOs there is room for one byte
    EXPECT_EQ(test::restored(device, state),
              "the state of the serial port is wrong: field 'received bytes' is out of range");
}

}  // namespace
}  // namespace vmm
