// SPDX-License-Identifier: Apache-2.0
#include "fdt/fdt.hpp"

#include <endian.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace vmm::fdt {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

std::vector<std::uint32_t> words(std::span<const std::byte> bytes) {
    std::vector<std::uint32_t> all(bytes.size() / 4);
    std::memcpy(all.data(), bytes.data(), all.size() * 4);
    for (auto& word : all)
        word = be32toh(word);
    return all;
}

TEST(FdtTest, EmptyTreeHasAHeaderAnEmptyReservationAndARoot) {
    Writer tree;
    { const auto root = tree.node(""); }

    EXPECT_THAT(words(tree.finish()),
                ElementsAre(0xd00d'feed, 72, 56, 72, 40, 17, 16, 0, 0, 16,  // header
                            0, 0, 0, 0,                                     // reservations
                            1, 0, 2, 9));                                   // structure
}

TEST(FdtTest, PropertiesAreInTheStructureAndTheirNamesOnceInTheStrings) {
    Writer tree;
    {
        const auto root = tree.node("");
        tree.cells("reg", {0x1234'5678, 2});
        const auto child = tree.node("abc");
        tree.cells("reg", {7});
    }
    const auto bytes = tree.finish();

    const auto all = words(bytes);
    EXPECT_THAT(std::span{all}.subspan(14),
                ElementsAreArray({1u, 0u, 3u, 8u, 0u, 0x1234'5678u, 2u,      // root, reg
                                  1u, 0x6162'6300u, 3u, 4u, 0u, 7u, 2u, 2u,  // abc, reg
                                  9u, 0x7265'6700u}));                       // end, "reg"
}

TEST(FdtTest, TextsEndWithAZeroAndArePadded) {
    Writer tree;
    {
        const auto root = tree.node("");
        tree.texts("c", {"ab", "cde"});
        tree.flag("f");
        tree.text("t", "");
    }
    const auto all = words(tree.finish());

    EXPECT_THAT(std::span{all}.subspan(16, 12),
                ElementsAreArray({3u, 7u, 0u, 0x6162'0063u, 0x6465'0000u,  // "ab" "cde"
                                  3u, 0u, 2u,                              // flag
                                  3u, 1u, 4u, 0u}));                       // ""
}

TEST(FdtTest, AddressesTakeTwoCells) {
    Writer tree;
    {
        const auto root = tree.node("");
        tree.ranges("reg", {{Gpa{0x1'0000'0002}, 3}});
        tree.number64("n", 0xa'0000'000b);
    }
    const auto all = words(tree.finish());

    EXPECT_THAT(std::span{all}.subspan(19, 4), ElementsAre(1u, 2u, 0u, 3u));
    EXPECT_THAT(std::span{all}.subspan(26, 2), ElementsAre(0xau, 0xbu));
}

TEST(FdtTest, UnitNamesAreHexadecimal) {
    EXPECT_EQ(unit_name("serial", Gpa{0x900'0000}), "serial@9000000");
    EXPECT_EQ(unit_name("cpu", Gpa{0}), "cpu@0");
}

}  // namespace
}  // namespace vmm::fdt
