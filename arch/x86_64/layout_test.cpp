#include "x86_64/layout.hpp"

namespace vmm::x86_64 {
namespace {

TEST(RamRangesTest, SmallMemoryIsOneRangeFromZero) {
    const auto ram = ram_ranges(512 * kMiB);

    ASSERT_EQ(ram.all().size(), 1U);
    EXPECT_EQ(ram.all()[0].first, Gpa{0});
    EXPECT_EQ(ram.all()[0].size, 0x2000'0000U);
}

TEST(RamRangesTest, ThreeGibibytesStillFitBelowTheHole) {
    const auto ram = ram_ranges(0xc000'0000);

    ASSERT_EQ(ram.all().size(), 1U);
    EXPECT_EQ(ram.low().size, 0xc000'0000U);
}

TEST(RamRangesTest, WhatIsAboveThreeGibibytesMovesToFour) {
    const auto ram = ram_ranges(0x1'8000'0000);

    ASSERT_EQ(ram.all().size(), 2U);
    EXPECT_EQ(ram.all()[0].size, 0xc000'0000U);
    EXPECT_EQ(ram.all()[1].first, Gpa{0x1'0000'0000});
    EXPECT_EQ(ram.all()[1].size, 0xc000'0000U);
}

TEST(PciWindow64Test, StartsAtFourGibibytesWhenRamEndsBelow) {
    const auto window = pci_window64(512 * kMiB, 40);

    EXPECT_EQ(window.first, Gpa{0x1'0000'0000});
    EXPECT_EQ(end_of(window), 0xfd'0000'0000U);
}

TEST(PciWindow64Test, FollowsRamAligned) {
    const auto window = pci_window64(6 * kGiB, 39);

    EXPECT_EQ(window.first, Gpa{0x2'0000'0000});
    EXPECT_EQ(end_of(window), 0x80'0000'0000U);
}

TEST(PciWindow64Test, SkipsTheRangeOfHyperTransport) {
    const auto window = pci_window64(1000 * kGiB, 46);

    EXPECT_EQ(window.first, Gpa{0x100'0000'0000});
    EXPECT_EQ(window.size, 1024 * kGiB);
}

TEST(PciWindow64Test, IsEmptyWhenRamFillsTheAddressSpace) {
    EXPECT_EQ(pci_window64(64 * kGiB, 36).size, 0U);
}

}  // namespace
}  // namespace vmm::x86_64
