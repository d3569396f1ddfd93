// SPDX-License-Identifier: Apache-2.0
#include "backends/char/escape_keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vmm {
namespace {

struct EscapeKeysTest : testing::Test {
    EscapeKeys keys;
    EscapeKeys::Filtered last;

    std::string type(std::string text) {
        last = keys.filter(std::as_writable_bytes(std::span{text}));
        text.resize(last.kept);
        return text;
    }
};

TEST_F(EscapeKeysTest, OrdinaryKeysPass) {
    EXPECT_EQ(type("ls -l\r\x03\x1a"), "ls -l\r\x03\x1a");
    EXPECT_FALSE(last.quit);
    EXPECT_FALSE(last.help);
}

TEST_F(EscapeKeysTest, CtrlAXQuitsAndDropsTheRest) {
    EXPECT_EQ(type("ab\x01xcd"), "ab");
    EXPECT_TRUE(last.quit);
}

TEST_F(EscapeKeysTest, CtrlATwiceSendsOne) {
    EXPECT_EQ(type("a\x01\x01x"), "a\x01x");
    EXPECT_FALSE(last.quit);
}

TEST_F(EscapeKeysTest, CtrlAHAsksForHelp) {
    EXPECT_EQ(type("a\x01hb"), "ab");
    EXPECT_TRUE(last.help);
}

TEST_F(EscapeKeysTest, CtrlADAsksForTheDisks) {
    EXPECT_EQ(type("a\x01"
                   "db\x01"
                   "Dc"),
              "abc");
    EXPECT_TRUE(last.disks);
    EXPECT_FALSE(last.quit);
    EXPECT_EQ(type("d"), "d");
    EXPECT_FALSE(last.disks);
}

TEST_F(EscapeKeysTest, KeysMayComeInTwoReads) {
    EXPECT_EQ(type("a\x01"), "a");
    EXPECT_EQ(type("x"), "");
    EXPECT_TRUE(last.quit);
}

TEST_F(EscapeKeysTest, CtrlAWithAnUnknownKeyDoesNothing) {
    EXPECT_EQ(type("\x01zab"), "ab");
    EXPECT_FALSE(last.quit);
    EXPECT_FALSE(last.help);
}

}  // namespace
}  // namespace vmm
