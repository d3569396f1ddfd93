// SPDX-License-Identifier: Apache-2.0
#include "pl061/pl061.hpp"

#include <random>

#include "pl061/pl061_rig.hpp"
#include "support/saved_state.hpp"

namespace vmm {
namespace {

constexpr std::uint64_t kNothing = ~std::uint64_t{0};

// ---- registers

TEST_F(Pl061Test, RegistersAfterPowerOn) {
    for (const unsigned at : {kAllData, kDir, kIs, kIbe, kIev, kIe, kRis, kMis, kAfsel})
        EXPECT_EQ(in(at), 0u) << at;
    EXPECT_FALSE(irq.high);
}

TEST_F(Pl061Test, RegistersKeepEightBitsWithEverySize) {
    for (const unsigned at : {kDir, kIs, kIbe, kIev, kIe, kAfsel})
        for (const auto size : {AccessSize::Byte, AccessSize::Word, AccessSize::Dword}) {
            outb(at, 0xffff'ffa5, size);
            EXPECT_EQ(in(at, size), 0xa5u) << at;
            outb(at, 0, size);
        }
}

TEST_F(Pl061Test, StatusIgnoresWrites) {
    outb(kRis, 0xff);
    outb(kMis, 0xff);

    EXPECT_EQ(in(kRis), 0u);
    EXPECT_EQ(in(kMis), 0u);
}

TEST_F(Pl061Test, UndefinedAccessReadsAllOnesAndWritesNothing) {
    outb(kDir, 0xff, AccessSize::Qword);
    outb(kDir + 1, 0xff);
    outb(0x424, 0xff);

    EXPECT_EQ(in(kAllData, AccessSize::Qword), kNothing);
    EXPECT_EQ(in(1), kNothing);
    EXPECT_EQ(in(kDir + 2, AccessSize::Word), kNothing);
    EXPECT_EQ(in(0x424), kNothing);
    EXPECT_EQ(in(0x600), kNothing);
    EXPECT_EQ(in(0xfdc), kNothing);
    EXPECT_EQ(in(kIc), kNothing);  // write only
    EXPECT_EQ(in(kDir), 0u);
}

TEST_F(Pl061Test, ResetRestoresPowerOnValuesAndLowersTheLine) {
    for (const unsigned at : {kIs, kIbe, kIev, kIe, kAfsel})
        outb(at, 0xff);
    outb(kDir, 0xf0);
    outb(kAllData, 0xff);
    device.press(0);
    EXPECT_TRUE(irq.high);

    device.reset();

    EXPECT_FALSE(irq.high);
    for (const unsigned at : {kAllData, kDir, kIs, kIbe, kIev, kIe, kRis, kMis, kAfsel})
        EXPECT_EQ(in(at), 0u) << at;
}

// ---- data

TEST_F(Pl061Test, OffsetMasksWhatIsWritten) {
    outb(kDir, 0xff);
    outb(kAllData, 0x0f);

    outb(0x098 * 4 & kAllData, 0xff);  // lines 7, 4 and 3

    EXPECT_EQ(in(kAllData), 0x9fu);
}

TEST_F(Pl061Test, OffsetMasksWhatIsRead) {
    outb(kDir, 0xff);
    outb(kAllData, 0xc4);

    EXPECT_EQ(in(0xc4 * 4), 0xc4u);
    EXPECT_EQ(in(0x42 * 4), 0x40u);
    EXPECT_EQ(in(0x000), 0u);
}

TEST_F(Pl061Test, OnlyOutputsAreWritten) {
    outb(kDir, 0x0f);

    outb(kAllData, 0xff);
    outb(kDir, 0xff);

    EXPECT_EQ(in(kAllData), 0x0fu);
}

TEST_F(Pl061Test, PressedLineIsReadHighOnce) {
    device.press(5);

    EXPECT_EQ(in(kAllData), 0x20u);
    EXPECT_EQ(in(kAllData), 0u);
}

TEST_F(Pl061Test, ReadingOtherLinesReleasesNone) {
    device.press(5);
    device.press(2);

    EXPECT_EQ(in(data_of(2)), 0x04u);
    EXPECT_EQ(in(data_of(4)), 0u);

    EXPECT_EQ(in(kAllData), 0x20u);
}

TEST_F(Pl061Test, LineThatIsAnOutputHidesItsButton) {
    outb(kDir, 0x20);
    device.press(5);
    EXPECT_EQ(in(kAllData), 0u);

    outb(kDir, 0);

    EXPECT_EQ(in(kAllData), 0x20u);
}

// ---- interrupts

TEST_F(Pl061Test, RisingEdgeIsThereUntilCleared) {
    outb(kIev, 0x08);
    outb(kIe, 0x08);

    device.press(3);
    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(kRis), 0x08u);
    EXPECT_EQ(in(kMis), 0x08u);
    outb(kIc, 0xf7);
    EXPECT_TRUE(irq.high);
    outb(kIc, 0x08);
    EXPECT_FALSE(irq.high);
    in(kAllData);

    EXPECT_EQ(in(kRis), 0u);
    EXPECT_THAT(irq.changes, ElementsAre(true, false));
}

TEST_F(Pl061Test, FallingEdgeComesWhenTheLineWasRead) {
    outb(kIe, 0x08);

    device.press(3);
    EXPECT_FALSE(irq.high);
    in(data_of(3));

    EXPECT_TRUE(irq.high);
}

// As a guest does that handles an interrupt first and acknowledges it then.
TEST_F(Pl061Test, LineThatWasReadFirstFallsWhenItsEdgeIsCleared) {
    outb(kIbe, 0x08);
    outb(kIe, 0x08);
    device.press(3);

    EXPECT_EQ(in(data_of(3)), 0x08u);
    EXPECT_EQ(in(data_of(3)), 0x08u);
    outb(kIc, 0x08);
    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(data_of(3)), 0u);
    outb(kIc, 0x08);

    EXPECT_FALSE(irq.high);
}

TEST_F(Pl061Test, LineThatWasReadFallsWhenItsInterruptIsMasked) {
    outb(kIev, 0x08);
    outb(kIe, 0x08);
    device.press(3);
    in(data_of(3));

    outb(kIe, 0);

    EXPECT_EQ(in(data_of(3)), 0u);
}

TEST_F(Pl061Test, PressAfterTheReadIsAPressOfItsOwn) {
    outb(kIbe, 0x08);
    outb(kIe, 0x08);
    device.press(3);
    in(data_of(3));

    device.press(3);
    outb(kIc, 0x08);

    EXPECT_EQ(in(data_of(3)), 0x08u);
    EXPECT_EQ(in(data_of(3)), 0u);
}

TEST_F(Pl061Test, BothEdgesComeWhateverTheEventRegisterSays) {
    for (const unsigned event : {0x00U, 0x08U}) {
        outb(kIbe, 0x08);
        outb(kIev, event);
        device.press(3);
        EXPECT_EQ(in(kRis), 0x08u);
        outb(kIc, 0x08);
        in(data_of(3));
        EXPECT_EQ(in(kRis), 0x08u);
        outb(kIc, 0x08);
    }
}

TEST_F(Pl061Test, NextPressIsAnEdgeForAGuestThatNeverReads) {
    outb(kIev, 0x08);
    outb(kIe, 0x08);
    device.press(3);
    outb(kIc, 0x08);

    device.press(3);

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(kAllData), 0x08u);
}

TEST_F(Pl061Test, MaskHidesAnInterruptAndForgetsNone) {
    outb(kIev, 0x08);
    device.press(3);
    EXPECT_FALSE(irq.high);
    EXPECT_EQ(in(kRis), 0x08u);
    EXPECT_EQ(in(kMis), 0u);

    outb(kIe, 0x08);

    EXPECT_TRUE(irq.high);
}

TEST_F(Pl061Test, HighLevelIsThereUntilTheLineWasRead) {
    outb(kIs, 0x08);
    outb(kIev, 0x08);
    outb(kIe, 0x08);

    device.press(3);
    outb(kIc, 0x08);
    EXPECT_TRUE(irq.high);
    in(data_of(3));

    EXPECT_FALSE(irq.high);
}

TEST_F(Pl061Test, LowLevelIsThereWhileNoButtonIsPressed) {
    outb(kIs, 0x08);
    outb(kIe, 0x08);
    EXPECT_TRUE(irq.high);

    device.press(3);

    EXPECT_FALSE(irq.high);
}

TEST_F(Pl061Test, ChangeToLevelForgetsTheEdge) {
    outb(kIev, 0x08);
    device.press(3);

    outb(kIs, 0x08);
    outb(kIev, 0x00);
    outb(kIs, 0x00);

    EXPECT_EQ(in(kRis), 0u);
}

TEST_F(Pl061Test, OutputDetectsNothing) {
    outb(kDir, 0x0c);
    outb(kIs, 0x04);
    outb(kIev, 0x0c);
    device.press(2);
    device.press(3);

    EXPECT_EQ(in(kRis), 0u);
}

TEST_F(Pl061Test, LinesShareThePin) {
    outb(kIev, 0xff);
    outb(kIe, 0xff);
    for (unsigned line = 0; line < Pl061::kLines; ++line)
        device.press(line);
    EXPECT_EQ(in(kMis), 0xffu);

    outb(kIc, 0x7f);
    EXPECT_TRUE(irq.high);
    outb(kIc, 0x80);

    EXPECT_THAT(irq.changes, ElementsAre(true, false));
}

// ---- a guest that means no good

TEST_F(Pl061Test, HostileAccessesLeaveTheButtonsWorking) {
    std::minstd_rand random{1};  // NOLINT(bugprone-random-generator-seed): the same on every run
    for (int i = 0; i < 100'000; ++i) {
        const auto what = static_cast<unsigned>(random());
        irq.changes.clear();
        if (what % 3 == 0)
            outb(0x400 + (what >> 4U) % 12 * 4, what >> 8U);
        else if (what % 3 == 1)
            in((what >> 4U) % 0x1000);
        else
            device.press(what >> 4U & 7U);
        ASSERT_LE(irq.changes.size(), 1u);  // each is a call into the host
        ASSERT_EQ(irq.high, in(kMis) != 0);
    }

    for (const unsigned at : {kDir, kIs, kIbe, kIe})
        outb(at, 0);
    outb(kIc, 0xff);
    in(kAllData);
    outb(kIev, 0x08);
    outb(kIe, 0x08);
    outb(kIc, 0xff);
    EXPECT_FALSE(irq.high);
    device.press(3);

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(data_of(3)), 0x08u);
}

// ---- state

TEST_F(Pl061Test, StateComesBackInAnotherDevice) {
    outb(kDir, 0xc0);
    outb(kAllData, 0x40);
    outb(kIs, 0x21);
    outb(kIbe, 0x02);
    outb(kIev, 0x0c);
    outb(kIe, 0x0e);
    outb(kAfsel, 0x11);
    device.press(3);
    test::RecordingIrqLine other_irq;
    Pl061 other{other_irq};

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_TRUE(other_irq.high);
    for (const unsigned at : {kDir, kIs, kIbe, kIev, kIe, kRis, kMis, kAfsel, kAllData})
        EXPECT_EQ(other.read({.offset = at, .size = AccessSize::Byte}), in(at)) << at;
}

TEST_F(Pl061Test, RestoredWithoutAPressTheLineFalls) {
    outb(kIev, 0x08);
    outb(kIe, 0x08);
    const auto state = test::saved(device);
    device.press(3);

    EXPECT_EQ(test::restored(device, state), "");

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(in(kAllData), 0u);
}

TEST_F(Pl061Test, BadStateIsRefusedAsAWhole) {
    outb(kIs, 0x0f);
    outb(kIev, 0xff);
    outb(kIe, 0xff);
    device.press(3);
    device.press(5);
    EXPECT_EQ(test::half_taken_states(device), 0u);
    in(data_of(5));
    EXPECT_EQ(test::half_taken_states(device), 0u);

    auto state = test::saved(device);
    state[6 + 9] = std::byte{0x21};
    EXPECT_EQ(test::restored(device, state),
              "the state of the GPIO controller is wrong: field 'lines that were read' has lines "
              "that are up");
    state[6 + 2] = std::byte{0x20};
    EXPECT_EQ(test::restored(device, state),
              "the state of the GPIO controller is wrong: field 'interrupts' are by edge and by "
              "level");
}

}  // namespace
}  // namespace vmm
