// SPDX-License-Identifier: Apache-2.0
#include "acpi_power/acpi_power.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "support/recording_guest_events.hpp"
#include "support/recording_irq_line.hpp"
#include "support/saved_state.hpp"

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Access kControl{.offset = 0x0, .size = AccessSize::Byte};
constexpr Access kStatus{.offset = 0x1, .size = AccessSize::Byte};
constexpr Access kReset{.offset = 0x2, .size = AccessSize::Byte};
constexpr Access kEvents{.offset = 0xc, .size = AccessSize::Byte};

struct AcpiPowerTest : testing::Test {
    test::RecordingGuestEvents events;
    test::RecordingIrqLine irq;
    AcpiPower device{events, irq};
};

TEST_F(AcpiPowerTest, RegistersAfterPowerOn) {
    EXPECT_EQ(device.read(kControl), 0u);
    EXPECT_EQ(device.read(kStatus), 0u);
    EXPECT_EQ(device.read(kEvents), 0u);
    EXPECT_FALSE(irq.high);
}

TEST_F(AcpiPowerTest, SleepEnableWithTypeFivePowersOff) {
    device.write(kControl, 0x34);  // SLP_EN, SLP_TYP 5

    EXPECT_THAT(events.seen, ElementsAre(GuestEvent::PowerOff));
}

TEST_F(AcpiPowerTest, SleepEnableWithAnotherTypeDoesNothing) {
    device.write(kControl, 0x2c);  // SLP_TYP 3

    EXPECT_THAT(events.seen, IsEmpty());
}

TEST_F(AcpiPowerTest, SleepTypeWithoutEnableIsOnlyStored) {
    device.write(kControl, 0x14);

    EXPECT_THAT(events.seen, IsEmpty());
    EXPECT_EQ(device.read(kControl), 0x14u);
}

TEST_F(AcpiPowerTest, SleepControlKeepsOnlyTheType) {
    device.write(kControl, 0xff);

    EXPECT_EQ(device.read(kControl), 0x1cu);
}

TEST_F(AcpiPowerTest, SleepStatusIgnoresWrites) {
    device.write(kStatus, 0xff);

    EXPECT_EQ(device.read(kStatus), 0u);
}

TEST_F(AcpiPowerTest, ResetValueResets) {
    device.write(kReset, 0x01);

    EXPECT_THAT(events.seen, ElementsAre(GuestEvent::Reset));
}

TEST_F(AcpiPowerTest, OtherValuesDoNotReset) {
    device.write(kReset, 0x00);
    device.write(kReset, 0x03);
    device.write(kReset, 0xff);

    EXPECT_THAT(events.seen, IsEmpty());
}

TEST_F(AcpiPowerTest, PowerButtonRaisesTheLineUntilTheRegisterIsRead) {
    device.press_power_button();
    EXPECT_TRUE(irq.high);

    EXPECT_EQ(device.read(kEvents), 0x01u);

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(device.read(kEvents), 0x00u);
}

TEST_F(AcpiPowerTest, TwoPressesBeforeARead) {
    device.press_power_button();
    device.press_power_button();

    EXPECT_EQ(device.read(kEvents), 0x01u);
    EXPECT_EQ(device.read(kEvents), 0x00u);
    EXPECT_THAT(irq.changes, ElementsAre(true, false));
}

TEST_F(AcpiPowerTest, EventRegisterIgnoresWrites) {
    device.press_power_button();

    device.write(kEvents, 0x00);

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(device.read(kEvents), 0x01u);
}

TEST_F(AcpiPowerTest, WideAccessReadsAllOnesAndDoesNothing) {
    constexpr Access wide{.offset = 0, .size = AccessSize::Dword};
    device.press_power_button();

    device.write(wide, 0x34);
    device.write({.offset = 2, .size = AccessSize::Word}, 0x01);

    EXPECT_EQ(device.read(wide), ~std::uint64_t{0});
    EXPECT_EQ(device.read({.offset = 0xc, .size = AccessSize::Dword}), ~std::uint64_t{0});
    EXPECT_THAT(events.seen, IsEmpty());
    EXPECT_TRUE(irq.high);
}

TEST_F(AcpiPowerTest, OffsetsBetweenTheRegistersReadAllOnes) {
    EXPECT_EQ(device.read(kReset), ~std::uint64_t{0});
    EXPECT_EQ(device.read({.offset = 0x3, .size = AccessSize::Byte}), ~std::uint64_t{0});
    EXPECT_EQ(device.read({.offset = 0x8, .size = AccessSize::Dword}), ~std::uint64_t{0});
    EXPECT_EQ(device.read({.offset = 0xd, .size = AccessSize::Byte}), ~std::uint64_t{0});
}

TEST_F(AcpiPowerTest, ResetForgetsEventAndSleepType) {
    device.write(kControl, 0x14);
    device.press_power_button();

    device.reset();

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(device.read(kControl), 0u);
    EXPECT_EQ(device.read(kEvents), 0u);
}

TEST_F(AcpiPowerTest, HostileAccessesLeaveTheButtonWorking) {
    std::minstd_rand random{1};  // NOLINT(bugprone-random-generator-seed): the same on every run
    for (int i = 0; i < 100'000; ++i) {
        const auto what = static_cast<unsigned>(random());
        const Access access{.offset = (what >> 4U) % 16, .size = AccessSize::Byte};
        if (what % 2 == 0 && access.offset != 0 && access.offset != 2)
            device.write(access, what >> 8U);
        else
            device.read(access);
    }

    device.press_power_button();

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(device.read(kEvents), 0x01u);
    EXPECT_THAT(events.seen, IsEmpty());
}

TEST_F(AcpiPowerTest, StateComesBackInAnotherDevice) {
    device.write(kControl, 0x14);
    device.press_power_button();
    test::RecordingIrqLine other_irq;
    AcpiPower other{events, other_irq};

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_TRUE(other_irq.high);
    EXPECT_EQ(other.read(kControl), 0x14u);
    EXPECT_EQ(other.read(kEvents), 0x01u);
    EXPECT_FALSE(other_irq.high);
}

TEST_F(AcpiPowerTest, RestoredWithoutAnEventTheLineFalls) {
    const auto state = test::saved(device);
    device.press_power_button();

    EXPECT_EQ(test::restored(device, state), "");

    EXPECT_FALSE(irq.high);
}

TEST_F(AcpiPowerTest, BadStateIsRefusedAsAWhole) {
    device.write(kControl, 0x14);
    device.press_power_button();
    EXPECT_EQ(test::half_taken_states(device), 0u);

    auto state = test::saved(device);
    state[6] = std::byte{0x34};
    EXPECT_EQ(test::restored(device, state),
              "the state of the power device is wrong: field 'sleep control' has bits that are "
              "not kept");
    EXPECT_THAT(events.seen, IsEmpty());
}

}  // namespace
}  // namespace vmm
