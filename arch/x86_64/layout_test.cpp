// SPDX-License-Identifier: Apache-2.0
#include "x86_64/layout.hpp"

#include <cstring>

#include "x86_64/reset_vector.hpp"

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

TEST(ResetVectorTest, LiesWhereACpuStartsAndWritesTheResetRegister) {
    EXPECT_EQ(kResetVector.first, Gpa{0xf'fff0});
    EXPECT_EQ(end_of(kResetVector), end_of(kAcpiTables));
    // mov dx, 0x602; mov al, 1; out dx, al; hlt; jmp back
    constexpr unsigned char kExpected[] = {0xba, 0x02, 0x06, 0xb0, 0x01, 0xee, 0xf4, 0xeb, 0xfd};
    ASSERT_EQ(kResetVectorCode.size(), sizeof kExpected);
    EXPECT_EQ(std::memcmp(kResetVectorCode.data(), kExpected, sizeof kExpected), 0);
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
