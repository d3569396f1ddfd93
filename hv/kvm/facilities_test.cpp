// SPDX-License-Identifier: Apache-2.0
// Slots, pins and doorbells against a recorded kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "kvm/doorbells.hpp"
#include "kvm/irq_pins.hpp"
#include "kvm/memory_slots.hpp"
#include "kvm/recording_kernel.hpp"

namespace vmm::kvm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct KvmFacilities : testing::Test {
    RecordingKernel kernel;
    Handle vm{UniqueFd{}, kernel};

    IrqPins::SetLevel to_kernel() {
        return [this](std::uint32_t gsi, bool high) { set_pin_of_kvm(vm, gsi, high); };
    }
};
using KvmSlotsTest = KvmFacilities;
using KvmPinsTest = KvmFacilities;
using KvmDoorbellsTest = KvmFacilities;

constexpr MemoryRegion kLow{.range = {Gpa{0}, 0x1000}};
constexpr MemoryRegion kHigh{.range = {Gpa{0x10'0000}, 0x2000}};
constexpr MemoryRegion kTop{.range = {Gpa{0x20'0000}, 0x3000}};

TEST_F(KvmSlotsTest, LowestFreeSlotIsTaken) {
    MemorySlots slots{vm};
    ASSERT_TRUE(slots.add(kLow));
    ASSERT_TRUE(slots.add(kHigh));
    slots.remove(kLow);

    ASSERT_TRUE(slots.add(kTop));

    EXPECT_THAT(kernel.take(), ElementsAre("slot 0 0x0+0x1000", "slot 1 0x100000+0x2000",
                                           "slot 0 0x0+0x0", "slot 0 0x200000+0x3000"));
}

TEST_F(KvmSlotsTest, RefusedRegionIsNamedAndTakesNoSlot) {
    MemorySlots slots{vm};
    kernel.answers[KVM_SET_USER_MEMORY_REGION] = -EINVAL;
    const auto refused = slots.add(kHigh);
    kernel.answers.clear();
    kernel.take();

    ASSERT_TRUE(slots.add(kTop));

    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().one_line(), HasSubstr("0x2000 bytes of RAM at gpa 0x100000"));
    EXPECT_THAT(kernel.take(), ElementsAre("slot 0 0x200000+0x3000"));
}

TEST_F(KvmSlotsTest, RemovalOfAnUnknownRegionDoesNothing) {
    MemorySlots slots{vm};

    slots.remove(kLow);

    EXPECT_THAT(kernel.take(), IsEmpty());
}

TEST_F(KvmSlotsTest, RomIsReadOnlyAndDeviceMemoryIsNot) {
    MemorySlots slots{vm};
    kernel.answers[KVM_CHECK_EXTENSION] = 1;
    MemoryRegion rom = kHigh;
    rom.kind = MemoryKind::Rom;
    MemoryRegion device = kTop;
    device.kind = MemoryKind::Device;

    ASSERT_TRUE(slots.add(kLow));
    ASSERT_TRUE(slots.add(rom));
    ASSERT_TRUE(slots.add(device));

    EXPECT_THAT(kernel.take(),
                ElementsAre("slot 0 0x0+0x1000", cat("has ", KVM_CAP_READONLY_MEM),
                            "slot 1 0x100000+0x2000 read-only", "slot 2 0x200000+0x3000"));
}

TEST_F(KvmSlotsTest, RomIsRefusedWhereKvmHasNoReadOnlyMemory) {
    MemorySlots slots{vm};
    MemoryRegion rom = kHigh;
    rom.kind = MemoryKind::Rom;

    const auto refused = slots.add(rom);

    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::Unsupported);
    EXPECT_THAT(refused.error().one_line(),
                AllOf(HasSubstr("ROM at gpa 0x100000"), HasSubstr("KVM_CAP_READONLY_MEM")));
    EXPECT_THAT(kernel.take(), ElementsAre(cat("has ", KVM_CAP_READONLY_MEM)));
}

TEST_F(KvmSlotsTest, NothingBecomesPrivate) {
    const MemorySlots slots{vm};

    const auto refused = slots.set_privacy(kHigh.range, Privacy::Private);

    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().one_line(), HasSubstr("RAM at gpa 0x100000"));
    EXPECT_TRUE(slots.set_privacy(kHigh.range, Privacy::Shared));
    EXPECT_THAT(kernel.take(), IsEmpty());
}

TEST_F(KvmPinsTest, PinIsHighWhileOneOfItsLinesIs) {
    IrqPins pins{to_kernel()};
    const auto a = pins.line(hv::Gsi{16});
    const auto b = pins.line(hv::Gsi{16});

    a->set(true);
    b->set(true);
    a->set(false);
    const auto while_high = kernel.take();
    b->set(false);

    EXPECT_THAT(while_high, ElementsAre("pin 16=1"));
    EXPECT_THAT(kernel.take(), ElementsAre("pin 16=0"));
}

TEST_F(KvmPinsTest, RepeatedLevelCostsNothing) {
    IrqPins pins{to_kernel()};
    const auto line = pins.line(hv::Gsi{4});
    line->set(true);
    kernel.take();

    line->set(true);

    EXPECT_THAT(kernel.take(), IsEmpty());
}

TEST_F(KvmPinsTest, LineThatGoesAwayLowersItsPin) {
    IrqPins pins{to_kernel()};
    auto line = pins.line(hv::Gsi{4});
    line->set(true);
    kernel.take();

    line.reset();

    EXPECT_THAT(kernel.take(), ElementsAre("pin 4=0"));
}

TEST_F(KvmPinsTest, PulseIsUpAndDown) {
    IrqPins pins{to_kernel()};
    const auto line = pins.line(hv::Gsi{9});

    line->pulse();

    EXPECT_THAT(kernel.take(), ElementsAre("pin 9=1", "pin 9=0"));
}

TEST_F(KvmDoorbellsTest, MmioOfAnyWidthHasNoFlags) {
    ASSERT_TRUE(connect_doorbell(vm, {.at = 0xe000'0000}, 7));

    EXPECT_THAT(kernel.take(), ElementsAre("bell 0xe0000000 len 0 match 0 flags 0"));
}

TEST_F(KvmDoorbellsTest, PortWithMatchHasBothFlags) {
    const DoorbellAddress address{
        .space = DoorbellAddress::Space::Port, .at = 0x600, .size = 2, .match = 9};

    ASSERT_TRUE(connect_doorbell(vm, address, 7));
    disconnect_doorbell(vm, address, 7);

    EXPECT_THAT(kernel.take(), ElementsAre("bell 0x600 len 2 match 9 flags 3",
                                           "bell 0x600 len 2 match 9 flags 7"));
}

TEST_F(KvmDoorbellsTest, RefusalNamesThePlace) {
    kernel.answers[KVM_IOEVENTFD] = -ENOSPC;

    const auto port =
        connect_doorbell(vm, {.space = DoorbellAddress::Space::Port, .at = 0x600, .size = 2}, 7);
    const auto mmio = connect_doorbell(vm, {.at = 0xe000'0000}, 7);

    ASSERT_FALSE(port);
    ASSERT_FALSE(mmio);
    EXPECT_THAT(port.error().one_line(), HasSubstr("doorbell at port 0x600"));
    EXPECT_THAT(mmio.error().one_line(), HasSubstr("doorbell at gpa 0xe0000000"));
}

}  // namespace
}  // namespace vmm::kvm
