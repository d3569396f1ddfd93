// SPDX-License-Identifier: Apache-2.0
#include "acpi/table_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace vmm::acpi {
namespace {

using testing::Each;

constexpr Gpa kWhere{0x8000};

unsigned sum_of(std::span<const std::byte> bytes) {
    unsigned sum = 0;
    for (const std::byte byte : bytes)
        sum += std::to_integer<unsigned>(byte);
    return sum & 0xff;
}

std::uint64_t number(std::span<const std::byte> bytes, std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
        value |= std::to_integer<std::uint64_t>(bytes[at + i]) << (8 * i);
    return value;
}

TEST(TableWriterTest, HeaderHasLengthAndAChecksumThatMakesZero) {
    aml::Bytes bytes;
    TableWriter tables{bytes, kWhere};
    const Gpa at = tables.table("TEST", 7, [](aml::Writer& to) { to.raw("body"); });

    EXPECT_EQ(at, kWhere);
    EXPECT_EQ(bytes.size(), 40U);
    EXPECT_EQ(number(bytes, 4, 4), 40U);
    EXPECT_EQ(number(bytes, 8, 1), 7U);
    EXPECT_EQ(sum_of(bytes), 0U);
}

TEST(TableWriterTest, TablesStartAtMultiplesOf16) {
    aml::Bytes bytes(5);
    TableWriter tables{bytes, kWhere};
    const Gpa first = tables.table("ONE_", 1, [](aml::Writer& to) { to.byte(1); });
    const Gpa second = tables.table("TWO_", 1, [](aml::Writer&) {});

    EXPECT_EQ(first, Gpa{0x8010});
    EXPECT_EQ(second, Gpa{0x8040});
    EXPECT_THAT((std::span{bytes}.subspan(0x35, 11)), Each(std::byte{0}));
}

TEST(TableWriterTest, XsdtListsTheTablesInOrder) {
    aml::Bytes bytes;
    TableWriter tables{bytes, kWhere};
    const std::array<Gpa, 2> listed{Gpa{0x1'2345'6780}, Gpa{0x10}};
    tables.xsdt(listed);

    ASSERT_EQ(bytes.size(), 52U);
    EXPECT_EQ(number(bytes, 36, 8), 0x1'2345'6780U);
    EXPECT_EQ(number(bytes, 44, 8), 0x10U);
}

TEST(RsdpTest, PointsAtTheXsdtAndBothSumsAreZero) {
    std::array<std::byte, kRsdpSize> rsdp{};
    write_rsdp(rsdp, Gpa{0x1'0000'0040});

    EXPECT_EQ(number(rsdp, 24, 8), 0x1'0000'0040U);
    EXPECT_EQ(sum_of(std::span{rsdp}.first(20)), 0U);
    EXPECT_EQ(sum_of(rsdp), 0U);
}

}  // namespace
}  // namespace vmm::acpi
