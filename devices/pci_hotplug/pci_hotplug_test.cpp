// SPDX-License-Identifier: Apache-2.0
#include "pci_hotplug/pci_hotplug.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "support/recording_irq_line.hpp"
#include "support/saved_state.hpp"

namespace vmm {
namespace {

using testing::ElementsAre;

constexpr Access kAdded{.offset = 0x0, .size = AccessSize::Dword};
constexpr Access kAsked{.offset = 0x4, .size = AccessSize::Dword};
constexpr Access kEject{.offset = 0x8, .size = AccessSize::Dword};
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};

struct CountingHost final : PciHotplugEvents {
    void slot_ejected() noexcept override { ++calls; }
    unsigned calls = 0;
};

struct PciHotplugControllerTest : testing::Test {
    CountingHost host;
    test::RecordingIrqLine irq;
    PciHotplug device{host, irq};
};

TEST_F(PciHotplugControllerTest, RegistersAfterPowerOn) {
    EXPECT_EQ(device.read(kAdded), 0u);
    EXPECT_EQ(device.read(kAsked), 0u);
    EXPECT_EQ(device.read(kEject), 0u);
    EXPECT_FALSE(irq.high);
}

TEST_F(PciHotplugControllerTest, NewDeviceRaisesTheLineUntilItsBitIsRead) {
    device.device_came(2);
    device.device_came(31);
    EXPECT_TRUE(irq.high);

    EXPECT_EQ(device.read(kAdded), 0x8000'0004u);

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(device.read(kAdded), 0u);
    EXPECT_THAT(irq.changes, ElementsAre(true, false));
}

TEST_F(PciHotplugControllerTest, LineIsHighUntilBothRegistersAreRead) {
    device.device_came(2);
    device.ask_for(3);

    EXPECT_EQ(device.read(kAsked), 8u);
    EXPECT_TRUE(irq.high);
    EXPECT_EQ(device.read(kAdded), 4u);
    EXPECT_FALSE(irq.high);
}

TEST_F(PciHotplugControllerTest, EjectedSlotIsTheHostsToEmpty) {
    device.ask_for(3);
    device.read(kAsked);

    device.write(kEject, 8);

    EXPECT_EQ(host.calls, 1u);
    EXPECT_EQ(device.ejected(), 8u);
    EXPECT_EQ(device.read(kEject), 8u) << "the device is still there";
    device.device_went(3);
    EXPECT_EQ(device.ejected(), 0u);
    EXPECT_EQ(device.read(kEject), 0u);
    EXPECT_THAT(irq.changes, ElementsAre(true, false));
}

TEST_F(PciHotplugControllerTest, GuestThatEjectsBeforeItHasReadIsNotAskedAgain) {
    device.ask_for(3);

    device.write(kEject, 8);

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(device.read(kAsked), 0u);
    EXPECT_EQ(device.ejected(), 8u);
}

TEST_F(PciHotplugControllerTest, SeveralSlotsAreEjectedWithOneWrite) {
    device.ask_for(3);
    device.ask_for(5);
    device.ask_for(6);

    device.write(kEject, 0x28);

    EXPECT_EQ(host.calls, 1u);
    EXPECT_EQ(device.ejected(), 0x28u);
    EXPECT_EQ(device.read(kAsked), 0x40u);
}

TEST_F(PciHotplugControllerTest, GuestThatRefusedIsAskedAgain) {
    device.ask_for(3);
    EXPECT_EQ(device.read(kAsked), 8u);

    device.ask_for(3);

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(device.read(kAsked), 8u);
    device.write(kEject, 8);
    EXPECT_EQ(device.ejected(), 8u);
}

TEST_F(PciHotplugControllerTest, GuestIsNotAskedForWhatItHasLetGo) {
    device.ask_for(3);
    device.write(kEject, 8);

    device.ask_for(3);

    EXPECT_FALSE(irq.high);
    device.write(kEject, 8);
    EXPECT_EQ(host.calls, 1u);
}

TEST_F(PciHotplugControllerTest, NothingIsSaidOfADeviceThatHasGone) {
    device.device_came(2);
    device.ask_for(2);

    device.device_went(2);

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(device.read(kAdded), 0u);
    EXPECT_EQ(device.read(kAsked), 0u);
    device.write(kEject, 4);
    EXPECT_EQ(host.calls, 0u) << "the next device in that slot would go";
}

TEST_F(PciHotplugControllerTest, ResetForgetsEverything) {
    device.device_came(2);
    device.ask_for(3);
    device.ask_for(4);
    device.write(kEject, 0x10);

    device.reset();

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(device.ejected(), 0u);
    device.write(kEject, 8);
    EXPECT_EQ(device.read(kAdded), 0u);
    EXPECT_EQ(device.read(kAsked), 0u);
    EXPECT_EQ(device.read(kEject), 0u);
    EXPECT_EQ(host.calls, 1u);
}

// A hostile guest.

TEST_F(PciHotplugControllerTest, NothingIsEjectedThatNobodyAskedFor) {
    device.device_came(2);

    device.write(kEject, 0xffff'ffff);  // one that came, empty ones, the host bridge's

    EXPECT_EQ(host.calls, 0u);
    EXPECT_EQ(device.ejected(), 0u);
    EXPECT_EQ(device.read(kAdded), 4u);
}

TEST_F(PciHotplugControllerTest, SlotOfTheHostBridgeIsNotEjectedWithOthers) {
    device.ask_for(1);

    device.write(kEject, 0xffff'ffff);

    EXPECT_EQ(device.ejected(), 2u);
}

TEST_F(PciHotplugControllerTest, StormOfEjectsIsToldToTheHostOnce) {
    device.ask_for(3);

    for (int i = 0; i < 1000; ++i)
        device.write(kEject, 0xffff'fff8);

    EXPECT_EQ(host.calls, 1u);
    EXPECT_EQ(device.ejected(), 8u);
}

TEST_F(PciHotplugControllerTest, OtherSizesAndOffsetsReadAllOnesAndDoNothing) {
    device.device_came(2);
    device.ask_for(3);
    for (std::uint64_t offset = 0; offset < PciHotplug::kRegionSize; ++offset)
        for (const auto size :
             {AccessSize::Byte, AccessSize::Word, AccessSize::Dword, AccessSize::Qword}) {
            const Access access{.offset = offset, .size = size};
            if (size == AccessSize::Dword && offset % 4 == 0)
                continue;
            EXPECT_EQ(device.read(access), kAllOnes) << offset;
            device.write(access, kAllOnes);
        }

    EXPECT_EQ(host.calls, 0u);
    EXPECT_EQ(device.read(kAdded), 4u);
    EXPECT_EQ(device.read(kAsked), 8u);
}

TEST_F(PciHotplugControllerTest, WritesToTheOtherRegistersAreIgnored) {
    device.device_came(2);
    device.ask_for(3);

    device.write(kAdded, 0xffff'ffff);
    device.write(kAsked, 0);

    EXPECT_EQ(device.read(kAdded), 4u);
    EXPECT_EQ(device.read(kAsked), 8u);
    EXPECT_EQ(host.calls, 0u);
}

TEST_F(PciHotplugControllerTest, RandomAccessesLeaveTheControllerWorking) {
    std::minstd_rand random{1};  // NOLINT(bugprone-random-generator-seed): the same on every run
    for (int i = 0; i < 100'000; ++i) {
        const auto what = static_cast<unsigned>(random());
        const Access access{.offset = (what >> 4U) % PciHotplug::kRegionSize,
                            .size = static_cast<AccessSize>(1U << (what >> 1U) % 4)};
        if (what % 2 == 0)
            device.write(access, what >> 8U);
        else
            device.read(access);
    }

    device.ask_for(3);

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(device.read(kAsked), 8u);
    device.write(kEject, 8);
    EXPECT_EQ(device.ejected(), 8u);
    EXPECT_EQ(host.calls, 1u);
}

// State.

TEST_F(PciHotplugControllerTest, StateComesBackInAnotherController) {
    device.device_came(2);
    device.ask_for(3);
    device.read(kAsked);
    device.ask_for(4);
    device.ask_for(5);
    device.write(kEject, 0x20);
    CountingHost other_host;
    test::RecordingIrqLine other_irq;
    PciHotplug other{other_host, other_irq};

    EXPECT_EQ(test::restored(other, test::saved(device)), "");

    EXPECT_TRUE(other_irq.high);
    EXPECT_EQ(other_host.calls, 1u) << "slot 5 waits for the host";
    EXPECT_EQ(other.ejected(), 0x20u);
    EXPECT_EQ(other.read(kAdded), 4u);
    EXPECT_EQ(other.read(kAsked), 0x10u);
    EXPECT_FALSE(other_irq.high);
    other.write(kEject, 8);
    EXPECT_EQ(other.ejected(), 0x28u);
}

TEST_F(PciHotplugControllerTest, RestoredWithoutAQuestionTheLineFallsAndNobodyIsTold) {
    const auto state = test::saved(device);
    device.device_came(2);

    EXPECT_EQ(test::restored(device, state), "");

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(host.calls, 0u);
}

TEST_F(PciHotplugControllerTest, BadStateIsRefusedAsAWhole) {
    device.device_came(2);
    device.ask_for(3);
    device.ask_for(5);
    device.write(kEject, 0x20);
    EXPECT_EQ(test::half_taken_states(device), 0u);
    const auto with = [good = test::saved(device)](std::size_t at, unsigned char value) {
        auto state = good;
        state[6 + at] = std::byte{value};
        return state;
    };
    const std::string wrong = "the state of the hot-plug controller is wrong: field ";

    EXPECT_EQ(test::restored(device, with(0, 5)), wrong + "'added slots' has the host bridge's");
    EXPECT_EQ(test::restored(device, with(4, 0x18)),
              wrong + "'untold slots' has some that nobody asked for");
    EXPECT_EQ(test::restored(device, with(8, 9)), wrong + "'asked slots' has the host bridge's");
    EXPECT_EQ(test::restored(device, with(12, 1)), wrong + "'ejected slots' has the host bridge's");
    EXPECT_EQ(test::restored(device, with(12, 0x28)),
              wrong + "'ejected slots' has some that the guest still has");
    EXPECT_EQ(device.ejected(), 0x20u);
    EXPECT_EQ(device.read(kAsked), 8u);
}

}  // namespace
}  // namespace vmm
