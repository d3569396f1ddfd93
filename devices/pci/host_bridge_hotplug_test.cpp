// SPDX-License-Identifier: Apache-2.0
// Functions that come and go while the guest runs.
#include "pci/host_bridge.hpp"
#include "pci/host_bridge_test_support.hpp"

namespace vmm::pci {
namespace {

struct PciHotplugTest : PciHostBridgeTest {
    Function& card(std::uint64_t bytes = 0x1000) {
        Function& made = *many.emplace_back(std::make_unique<Function>(kCard));
        made.add_bar(0, {.kind = BarKind::Memory32, .size = bytes}, later);
        made.use_intx();
        return made;
    }
    Region later{0x33};
};

TEST_F(PciHotplugTest, FunctionThatComesLaterTakesAFreeSlotAndRangeAndMovesNobody) {
    plug({.kind = BarKind::Memory32, .size = 0x1000});
    Function& late = card();

    EXPECT_EQ(*bridge.plug(late), (Address{2, 0}));

    EXPECT_EQ(mmio.read32(config(2, 0, 0)), 0x5678'1234u);
    EXPECT_EQ(mmio.read32(config(2, 0, 0x10)), kMem32 + 0x1000);
    EXPECT_EQ(mmio.read32(config(1, 0, 0x10)), kMem32);
    mmio.write16(config(2, 0, 4), 2);
    EXPECT_EQ(mmio.read8(kMem32 + 0x1000), 0x33u);
}

TEST_F(PciHotplugTest, UnpluggedFunctionReadsAllOnesAndIsUnmappedAndSilent) {
    plug({.kind = BarKind::Memory32, .size = 0x1000});
    Function& late = card();
    ASSERT_TRUE(bridge.plug(late));
    mmio.write16(config(2, 0, 4), 2);
    late.set_intx(true);
    ASSERT_TRUE(lines[2].high);

    bridge.unplug(late);

    EXPECT_EQ(mmio.read32(config(2, 0, 0)), 0xffff'ffffu);
    EXPECT_EQ(mmio.read8(kMem32 + 0x1000), 0xffu);
    EXPECT_FALSE(lines[2].high);
    late.set_intx(false);
    late.set_intx(true);
    EXPECT_FALSE(lines[2].high) << "it still has its pin";
    mmio.write16(config(1, 0, 4), 2);
    EXPECT_EQ(mmio.read8(kMem32), 0x11u) << "its neighbour does not work any more";
}

TEST_F(PciHotplugTest, FreedSlotAndRangeAreTakenAgain) {
    plug({.kind = BarKind::Memory32, .size = 0x1000});
    Function& second = card();
    Function& third = card();
    ASSERT_TRUE(bridge.plug(second));
    ASSERT_TRUE(bridge.plug(third));
    bridge.unplug(second);
    Function& again = card();

    EXPECT_EQ(*bridge.plug(again), (Address{2, 0}));

    EXPECT_EQ(again.bar_address(0), kMem32 + 0x1000);
    EXPECT_EQ(third.bar_address(0), kMem32 + 0x2000);
}

TEST_F(PciHotplugTest, RangeThatTheGuestMovedABarToIsNotGivenAway) {
    plug({.kind = BarKind::Memory32, .size = 0x1000});
    mmio.write32(config(1, 0, 0x10), kMem32 + 0x1000);
    mmio.write16(config(1, 0, 4), 2);
    Function& late = card();

    ASSERT_TRUE(bridge.plug(late));

    EXPECT_EQ(late.bar_address(0), kMem32 + 0x2000);
}

TEST_F(PciHotplugTest, BarUnderneathAppearsWhenTheOneOnTopIsUnplugged) {
    plug({.kind = BarKind::Memory32, .size = 0x1000});
    Function& late = card();
    ASSERT_TRUE(bridge.plug(late));
    mmio.write16(config(2, 0, 4), 2);
    mmio.write32(config(1, 0, 0x10), kMem32 + 0x1000);
    mmio.write16(config(1, 0, 4), 2);
    ASSERT_EQ(mmio.read8(kMem32 + 0x1000), 0x33u);

    bridge.unplug(late);

    EXPECT_EQ(mmio.read8(kMem32 + 0x1000), 0x11u);
}

TEST_F(PciHotplugTest, SlotsAreSharedOnlyWhenAllAreTakenAndFunctionZeroGoesLast) {
    for (int i = 0; i < 31; ++i)
        ASSERT_TRUE(bridge.plug(card()));
    Function& guest = card();

    EXPECT_EQ(*bridge.plug(guest), (Address{1, 1}));

    EXPECT_EQ(mmio.read8(config(1, 0, 0x0e)), 0x80u);
    EXPECT_FALSE(bridge.can_unplug(*many[0]));
    EXPECT_TRUE(bridge.can_unplug(*many[1]));
    EXPECT_TRUE(bridge.can_unplug(guest));
    bridge.unplug(guest);
    EXPECT_EQ(mmio.read8(config(1, 0, 0x0e)), 0x00u);
    EXPECT_TRUE(bridge.can_unplug(*many[0]));
}

TEST_F(PciHotplugTest, WhatDoesNotFitIsRefusedAndLeavesNothingBehind) {
    EXPECT_FALSE(bridge.plug(card(0x2000'0000)));

    EXPECT_EQ(mmio.read32(config(1, 0, 0)), 0xffff'ffffu);
    EXPECT_EQ(*bridge.plug(card()), (Address{1, 0}));
}

}  // namespace
}  // namespace vmm::pci
