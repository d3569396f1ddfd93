// The small parts under the loader: placement, relocation, sizes.
#include "vmm/size_text.hpp"
#include "x86_64/kaslr.hpp"
#include "x86_64/placement.hpp"
#include "x86_64/synthetic_kernel.hpp"

namespace vmm::x86_64 {
namespace {

using ::testing::HasSubstr;

TEST(SizeTextTest, UnitsFollowTheSize) {
    EXPECT_EQ(size_text(17), "17 bytes");
    EXPECT_EQ(size_text(1024), "1 KiB");
    EXPECT_EQ(size_text(512 * kMiB), "512 MiB");
    EXPECT_EQ(size_text(1536 * kMiB), "1.5 GiB");
    EXPECT_EQ(size_text(1025 * kMiB), "1025 MiB");  // not "1 GiB"
    EXPECT_EQ(size_text(64 * kMiB + 4 * kKiB), "65540 KiB");
    EXPECT_EQ(size_text(11'900'001), "11.3 MiB");
    EXPECT_EQ(size_text(~std::uint64_t{0}), "16777215 TiB");
}

TEST(PlacementTest, HighestFreeGoesBelowWhatIsTaken) {
    Placement placement{64 * kMiB};
    ASSERT_TRUE(placement.take({Gpa{60 * kMiB}, 4 * kMiB}, "kernel").has_value());

    EXPECT_EQ(placement.highest_free(kMiB, ~std::uint64_t{0}), Gpa{59 * kMiB});
    EXPECT_EQ(placement.highest_free(kMiB, 10 * kMiB), Gpa{9 * kMiB});
    EXPECT_EQ(placement.highest_free(61 * kMiB, ~std::uint64_t{0}), std::nullopt);
}

TEST(PlacementTest, HighestFreeIsAbove4GibibytesWhenThereIsNoRoomBelow) {
    Placement placement{8 * kGiB};  // up to 3 GiB, and 4 to 9 GiB
    ASSERT_TRUE(placement.take({Gpa{9 * kGiB - kMiB}, kMiB}, "kernel").has_value());

    EXPECT_EQ(placement.highest_free(2 * kGiB, ~std::uint64_t{0}), Gpa{kGiB});
    EXPECT_EQ(placement.highest_free(4 * kGiB, ~std::uint64_t{0}), Gpa{5 * kGiB - kMiB});
    EXPECT_EQ(placement.highest_free(4 * kGiB, 4 * kGiB), std::nullopt);
    EXPECT_EQ(placement.highest_free(6 * kGiB, ~std::uint64_t{0}), std::nullopt);
}

TEST(PlacementTest, LowestFreeGoesAboveWhatIsTaken) {
    Placement placement{64 * kMiB};
    ASSERT_TRUE(placement.take({Gpa{kMiB}, kMiB + 1}, "kernel").has_value());

    EXPECT_EQ(placement.lowest_free(kMiB, kMiB, Gpa{kMiB}), Gpa{3 * kMiB});
    EXPECT_EQ(placement.lowest_free(62 * kMiB, kMiB, Gpa{kMiB}), std::nullopt);
}

TEST(PlacementTest, TheHoleIsNoRam) {
    Placement placement{4 * kGiB};

    const auto taken = placement.take({Gpa{0xbfff'f000}, 0x2000}, "thing");

    ASSERT_FALSE(taken.has_value());
    EXPECT_THAT(taken.error().one_line(), HasSubstr("does not fit in memory of 4 GiB"));
    EXPECT_TRUE(placement.take({Gpa{0x1'0000'0000}, kGiB}, "high").has_value());
}

TEST(SplitRelocationsTest, ThreeListsAreFound) {
    const auto table = test::relocation_table({1, 2}, {3}, {4, 5});

    const auto lists = split_relocations(table);

    EXPECT_EQ(lists.pointers64.size(), 8U);
    EXPECT_EQ(lists.negated32.size(), 4U);
    EXPECT_EQ(lists.pointers32.size(), 8U);
}

TEST(SplitRelocationsTest, TwoListsAreThoseOfLinuxSince615) {
    const auto table = test::relocation_table({1, 2}, {}, {4});
    test::ByteVector two{table.begin(), table.begin() + 12};
    two.insert(two.end(), table.begin() + 16, table.end());

    const auto lists = split_relocations(two);

    EXPECT_EQ(lists.pointers64.size(), 8U);
    EXPECT_EQ(lists.negated32.size(), 0U);
    EXPECT_EQ(lists.pointers32.size(), 4U);
}

TEST(SplitRelocationsTest, OtherShapesAreNotTouched) {
    EXPECT_TRUE(split_relocations({}).empty());
    EXPECT_TRUE(split_relocations(std::as_bytes(std::span{"signature!!!"})).empty());
    const std::array<std::uint32_t, 8> many{0, 1, 0, 2, 0, 3, 0, 4};
    EXPECT_TRUE(split_relocations(std::as_bytes(std::span{many})).empty());
}

TEST(RelocateTest, PlaceAtTheLastByteOfTheImageIsRefused) {
    const auto table = test::relocation_table({0x8100'0ff9}, {}, {0x8100'0000});
    test::ByteVector image(0x1000);

    EXPECT_FALSE(relocate(split_relocations(table), image, 0x100'0000, 0x20'0000));
}

TEST(KaslrDeltaTest, StaysInTheKernelsGibibyteAtItsAlignment) {
    EXPECT_EQ(kaslr_delta(0, 0x100'0000, 0x320'0000, 0x20'0000), 0U);
    EXPECT_EQ(kaslr_delta(479, 0x100'0000, 0x320'0000, 0x20'0000), 0x3be0'0000U);
    EXPECT_EQ(kaslr_delta(480, 0x100'0000, 0x320'0000, 0x20'0000), 0U);
    EXPECT_EQ(kaslr_delta(99, 0x100'0000, kKernelMapSize, 0x20'0000), 0U);
}

}  // namespace
}  // namespace vmm::x86_64
