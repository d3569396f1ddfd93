// SPDX-License-Identifier: Apache-2.0
// The small parts under the loader: relocation.
#include "x86_64/kaslr.hpp"
#include "x86_64/synthetic_kernel.hpp"

namespace vmm::x86_64 {
namespace {

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
