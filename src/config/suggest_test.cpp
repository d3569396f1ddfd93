// SPDX-License-Identifier: Apache-2.0
#include "config/suggest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace vmm::config {
namespace {

constexpr std::array<std::string_view, 4> kNames{"memory", "size", "shared", "on_reset"};

TEST(NearestTest, OneSlipIsForgiven) {
    EXPECT_EQ(nearest("memroy", kNames), "memory");  // neighbours changed places
    EXPECT_EQ(nearest("sise", kNames), "size");
    EXPECT_EQ(nearest("SIZE", kNames), "size");
    EXPECT_EQ(nearest("sizes", kNames), "size");
    EXPECT_EQ(nearest("on-reset", kNames), "on_reset");
}

TEST(NearestTest, BeginningOfANameIsNear) {
    EXPECT_EQ(nearest("mem", kNames), "memory");
}

TEST(NearestTest, FarOrShortOrLongIsNothing) {
    EXPECT_EQ(nearest("telepathy", kNames), "");
    EXPECT_EQ(nearest("", kNames), "");
    EXPECT_EQ(nearest("q", kNames), "");
    EXPECT_EQ(nearest(std::string(1000, 'x'), kNames), "");
}

TEST(SuggestionTest, ListsAllNames) {
    EXPECT_EQ(suggestion("sise", kNames, "Known keys"),
              "Did you mean 'size'? Known keys: memory, size, shared, on_reset.");
    EXPECT_EQ(suggestion("zzz", kNames, "Known keys"),
              "Known keys: memory, size, shared, on_reset.");
}

TEST(QuotesTest, ControlCharactersAndLengthAreTamed) {
    EXPECT_EQ(in_quotes("a\x1b[31mb\n"), "'a.[31mb.'");
    EXPECT_EQ(in_quotes(std::string(200, 'x')), "'" + std::string(100, 'x') + "...'");
}

TEST(NearestTest, NamesOfOtherProgramsAreKnown) {
    constexpr std::array<std::string_view, 3> kModes{"off", "tty", "file"};
    constexpr std::array<std::string_view, 4> kKeys{"path", "tap", "publish", "disks"};

    EXPECT_EQ(nearest("stdio", kModes), "tty");
    EXPECT_EQ(nearest("none", kModes), "off");
    EXPECT_EQ(nearest("file", kModes), "file");
    EXPECT_EQ(nearest("hostfwd", kKeys), "publish");
    EXPECT_EQ(nearest("file", kKeys), "path");
    EXPECT_EQ(nearest("drives", kKeys), "disks");
    EXPECT_EQ(nearest("boot-source", kKeys), "");
}

}  // namespace
}  // namespace vmm::config
