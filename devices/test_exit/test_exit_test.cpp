// SPDX-License-Identifier: Apache-2.0
#include "test_exit/test_exit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct RecordingExits final : TestExitEvents {
    std::vector<std::uint32_t> seen;
    void exit_requested(std::uint32_t value) noexcept override { seen.push_back(value); }
};

struct TestExitTest : testing::Test {
    RecordingExits exits;
    TestExit device{exits};
};

TEST_F(TestExitTest, ByteIsTheVerdict) {
    device.write({.offset = 0, .size = AccessSize::Byte}, 0x1234'5607);

    EXPECT_THAT(exits.seen, ElementsAre(7u));
}

TEST_F(TestExitTest, WordAndDwordAreTakenWhole) {
    device.write({.offset = 0, .size = AccessSize::Word}, 0x1234'5678);
    device.write({.offset = 0, .size = AccessSize::Dword}, 0x1234'5678);

    EXPECT_THAT(exits.seen, ElementsAre(0x5678u, 0x1234'5678u));
}

TEST_F(TestExitTest, OtherOffsetsDoNothing) {
    device.write({.offset = 1, .size = AccessSize::Byte}, 7);
    device.write({.offset = 2, .size = AccessSize::Word}, 7);

    EXPECT_THAT(exits.seen, IsEmpty());
}

TEST_F(TestExitTest, QwordDoesNothing) {
    device.write({.offset = 0, .size = AccessSize::Qword}, 7);

    EXPECT_THAT(exits.seen, IsEmpty());
}

TEST_F(TestExitTest, ReadsAllOnes) {
    EXPECT_EQ(device.read({.offset = 0, .size = AccessSize::Byte}), ~std::uint64_t{0});
    EXPECT_EQ(device.read({.offset = 0, .size = AccessSize::Dword}), ~std::uint64_t{0});
    EXPECT_THAT(exits.seen, IsEmpty());
}

}  // namespace
}  // namespace vmm
