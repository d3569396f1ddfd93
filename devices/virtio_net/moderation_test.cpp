// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/moderation.hpp"

#include <gtest/gtest.h>

namespace vmm::virtio_net {
namespace {

using namespace std::chrono_literals;

struct ModerationTest : testing::Test {
    Moderation moderation;
    Moderation::Clock::time_point now{1h};

    void empty(std::uint64_t frames, Moderation::Time after, std::uint64_t bytes = 72) {
        now += after;
        moderation.emptied(frames, bytes, now);
    }
    /// What makes it rest.
    void flood() {
        empty(0, 1s);
        for (int i = 0; i < 8; ++i)
            empty(8, 50us);
    }
};

TEST_F(ModerationTest, DoesNotRestAtFirst) {
    EXPECT_EQ(moderation.rest(), 0us);
    empty(1000, 1s);
    EXPECT_EQ(moderation.rest(), 0us);
}

TEST_F(ModerationTest, ManyFramesInAShortTimeAreReasonToRest) {
    flood();
    EXPECT_EQ(moderation.rest(), 100us);
}

TEST_F(ModerationTest, SlowFramesAreNot) {
    for (int i = 0; i < 1000; ++i)
        empty(1, 20us);
    EXPECT_EQ(moderation.rest(), 0us);
}

TEST_F(ModerationTest, AFewFramesAtOnceAreNot) {
    empty(0, 1s);
    for (int i = 0; i < 100; ++i) {
        empty(30, 10us);
        EXPECT_EQ(moderation.rest(), 0us);
        empty(1, 2ms);
    }
}

TEST_F(ModerationTest, LargeFramesAreNot) {
    empty(0, 1s);
    for (int i = 0; i < 1000; ++i)
        empty(2, 10us, 60'000);
    EXPECT_EQ(moderation.rest(), 0us);
}

TEST_F(ModerationTest, RestsAsLongAsItPays) {
    flood();
    for (int i = 0; i < 1000; ++i)
        empty(32, 110us);
    EXPECT_EQ(moderation.rest(), 100us);
}

TEST_F(ModerationTest, RestThatBringsLittleIsTheLastForAWhile) {
    flood();
    empty(31, 110us);
    EXPECT_EQ(moderation.rest(), 0us);
    for (int i = 0; i < 99; ++i)
        empty(50, 100us);
    EXPECT_EQ(moderation.rest(), 0us);
    empty(50, 200us);
    empty(50, 200us);
    EXPECT_EQ(moderation.rest(), 100us);
}

TEST_F(ModerationTest, FramesThatBecomeLargeEndIt) {
    flood();
    empty(100, 110us, 2048);
    EXPECT_EQ(moderation.rest(), 0us);
}

}  // namespace
}  // namespace vmm::virtio_net
