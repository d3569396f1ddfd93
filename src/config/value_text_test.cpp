// SPDX-License-Identifier: Apache-2.0
#include "config/value_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace vmm::config {
namespace {

TEST(SizeTest, UnitsArePowersOf1024InAnyCase) {
    EXPECT_EQ(parse_size("0").value(), 0U);
    EXPECT_EQ(parse_size("4096").value(), 4096U);
    EXPECT_EQ(parse_size("1B").value(), 1U);
    EXPECT_EQ(parse_size("2k").value(), 2048U);
    EXPECT_EQ(parse_size("2KiB").value(), 2048U);
    EXPECT_EQ(parse_size("512M").value(), 536870912U);
    EXPECT_EQ(parse_size("4GB").value(), 4294967296U);
    EXPECT_EQ(parse_size("1tib").value(), 1099511627776U);
    EXPECT_EQ(parse_size("16777215T").value(), 18446742974197923840U);
}

TEST(SizeTest, AnythingElseIsAnErrorThatSaysWhatToGive) {
    EXPECT_EQ(parse_size("lots").error().report(),
              "error: 'lots' is not a size\n"
              "  help: Give a whole number of bytes, or one followed by K, M, G or T, such as "
              "512M.\n");
    EXPECT_EQ(parse_size("").error().one_line(), "'' is not a size");
    EXPECT_EQ(parse_size("-1").error().one_line(), "'-1' is not a size");
    EXPECT_EQ(parse_size("1.5G").error().one_line(), "'1.5G' is not a size");
    EXPECT_EQ(parse_size("1 G").error().one_line(), "'1 G' is not a size");
    EXPECT_EQ(parse_size("1P").error().one_line(), "'1P' is not a size");
    EXPECT_EQ(parse_size("1GG").error().one_line(), "'1GG' is not a size");
    EXPECT_EQ(parse_size("0x10").error().one_line(), "'0x10' is not a size");
}

TEST(SizeTest, WhatDoesNotFitIsTooLargeAndDoesNotWrap) {
    EXPECT_EQ(parse_size("16777216T").error().one_line(),
              "'16777216T' is too large for a number of 64 bits");
    EXPECT_EQ(parse_size("18446744073709551616").error().one_line(),
              "'18446744073709551616' is too large for a number of 64 bits");
}

TEST(SizeTest, TextIsTheShortestThatReadsBack) {
    EXPECT_EQ(size_text(0), "0");
    EXPECT_EQ(size_text(1000), "1000");
    EXPECT_EQ(size_text(1536), "1536");
    EXPECT_EQ(size_text(536870912), "512M");
    EXPECT_EQ(size_text(1099511627776), "1T");
    EXPECT_EQ(size_text(1125899906842624), "1024T");
}

TEST(NumberTest, DecimalAndHexadecimalAreRead) {
    EXPECT_EQ(parse_number("0").value(), 0U);
    EXPECT_EQ(parse_number("42").value(), 42U);
    EXPECT_EQ(parse_number("0xf4").value(), 244U);
    EXPECT_EQ(parse_number("0XF4").value(), 244U);
}

TEST(NumberTest, AnythingElseIsAnError) {
    EXPECT_EQ(parse_number("two").error().report(),
              "error: 'two' is not a number\n"
              "  help: Give a whole number, in decimal or with 0x in front in hexadecimal.\n");
    EXPECT_EQ(parse_number("").error().one_line(), "'' is not a number");
    EXPECT_EQ(parse_number("0x").error().one_line(), "'0x' is not a number");
    EXPECT_EQ(parse_number("0x-1").error().one_line(), "'0x-1' is not a number");
    EXPECT_EQ(parse_number("4 ").error().one_line(), "'4 ' is not a number");
}

TEST(SwitchTest, FourWordsAreRead) {
    EXPECT_TRUE(parse_switch("on").value());
    EXPECT_TRUE(parse_switch("True").value());
    EXPECT_FALSE(parse_switch("off").value());
    EXPECT_FALSE(parse_switch("false").value());
    EXPECT_EQ(parse_switch("maybe").error().report(),
              "error: 'maybe' is neither on nor off\n  help: Give on or off.\n");
}

TEST(ChoiceTest, UnknownChoiceListsAllAndNamesTheNearest) {
    constexpr std::array<std::string_view, 3> kModes{"tty", "file", "null"};

    EXPECT_EQ(parse_choice("FILE", kModes).value(), 1U);
    EXPECT_EQ(parse_choice("nul", kModes).error().report(),
              "error: 'nul' is none of tty, file, null\n  help: Did you mean 'null'?\n");
    EXPECT_EQ(parse_choice("telepathy", kModes).error().report(),
              "error: 'telepathy' is none of tty, file, null\n  help: Give one of these.\n");
}

TEST(LimitsTest, ErrorNamesTheLimit) {
    const Key number{.name = "n", .type = Type::Number, .least = 2, .most = 8};
    const Key size{.name = "s", .type = Type::Size, .least = 4096, .most = 1048576};
    const Key text{.name = "t", .type = Type::Text, .most = 3};

    EXPECT_EQ(parse_value(number, "1").error().report(),
              "error: 1 is too small\n  help: The least is 2.\n");
    EXPECT_EQ(parse_value(number, "9").error().report(),
              "error: 9 is too large\n  help: The most is 8.\n");
    EXPECT_EQ(parse_value(size, "1K").error().report(),
              "error: 1K is too small\n  help: The least is 4K; a number alone is in bytes, and "
              "512 MiB are "
              "512M.\n");
    EXPECT_EQ(parse_value(size, "2M").error().report(),
              "error: 2M is too large\n  help: The most is 1M.\n");
    EXPECT_EQ(parse_value(text, "abcd").error().report(),
              "error: 4 bytes are too long\n  help: At most 3 bytes are possible.\n");
    EXPECT_EQ(parse_value(text, std::string_view{"a\0b", 3}).error().one_line(),
              "a zero byte in the text");
}

}  // namespace
}  // namespace vmm::config
