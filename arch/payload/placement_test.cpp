// SPDX-License-Identifier: Apache-2.0
#include "payload/placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace vmm {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

constexpr std::array kSmall{GpaRange{Gpa{0}, 64 * kMiB}};
/// With a hole, as PCs have it.
constexpr std::array kLarge{GpaRange{Gpa{0}, 3 * kGiB}, GpaRange{Gpa{4 * kGiB}, 5 * kGiB}};

TEST(PlacementTest, HighestFreeGoesBelowWhatIsTaken) {
    Placement placement{kSmall};
    ASSERT_TRUE(placement.take({Gpa{60 * kMiB}, 4 * kMiB}, "kernel").has_value());

    EXPECT_EQ(placement.highest_free(kMiB, ~std::uint64_t{0}), Gpa{59 * kMiB});
    EXPECT_EQ(placement.highest_free(kMiB, 10 * kMiB), Gpa{9 * kMiB});
    EXPECT_EQ(placement.highest_free(61 * kMiB, ~std::uint64_t{0}), std::nullopt);
}

TEST(PlacementTest, HighestFreeIsInTheSecondRangeWhenThereIsNoRoomInTheFirst) {
    Placement placement{kLarge};
    ASSERT_TRUE(placement.take({Gpa{9 * kGiB - kMiB}, kMiB}, "kernel").has_value());

    EXPECT_EQ(placement.highest_free(2 * kGiB, ~std::uint64_t{0}), Gpa{kGiB});
    EXPECT_EQ(placement.highest_free(4 * kGiB, ~std::uint64_t{0}), Gpa{5 * kGiB - kMiB});
    EXPECT_EQ(placement.highest_free(4 * kGiB, 4 * kGiB), std::nullopt);
    EXPECT_EQ(placement.highest_free(6 * kGiB, ~std::uint64_t{0}), std::nullopt);
}

TEST(PlacementTest, LowestFreeGoesAboveWhatIsTaken) {
    Placement placement{kSmall};
    ASSERT_TRUE(placement.take({Gpa{kMiB}, kMiB + 1}, "kernel").has_value());

    EXPECT_EQ(placement.lowest_free(kMiB, kMiB, Gpa{kMiB}), Gpa{3 * kMiB});
    EXPECT_EQ(placement.lowest_free(62 * kMiB, kMiB, Gpa{kMiB}), std::nullopt);
}

TEST(PlacementTest, TheHoleIsNoRam) {
    Placement placement{kLarge};

    const auto taken = placement.take({Gpa{0xbfff'f000}, 0x2000}, "thing");

    ASSERT_FALSE(taken.has_value());
    EXPECT_THAT(taken.error().one_line(), HasSubstr("does not fit in memory of 8 GiB"));
    EXPECT_TRUE(placement.take({Gpa{0x1'0000'0000}, kGiB}, "high").has_value());
}

}  // namespace
}  // namespace vmm
