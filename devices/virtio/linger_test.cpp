// SPDX-License-Identifier: Apache-2.0
#include "virtio/linger.hpp"

#include <gtest/gtest.h>

namespace vmm::virtio {
namespace {

using namespace std::chrono_literals;

struct LingerTest : testing::Test {
    Linger linger{true};
    Linger::Clock::time_point now{};

    void sleep_for(std::chrono::nanoseconds time) {
        linger.rest(now);
        now += time;
        linger.woken(now);
    }
};

TEST_F(LingerTest, DoesNotLookAtFirst) {
    EXPECT_EQ(linger.window(), 0ns);
}

TEST_F(LingerTest, QuickDriverIsLookedForLongerAndLonger) {
    sleep_for(20us);
    EXPECT_EQ(linger.window(), 4us);
    sleep_for(20us);
    EXPECT_EQ(linger.window(), 8us);
    for (int i = 0; i < 10; ++i)
        sleep_for(32us);
    EXPECT_EQ(linger.window(), 32us);
}

TEST_F(LingerTest, SlowDriverIsNotLookedFor) {
    sleep_for(20us);
    sleep_for(33us);
    EXPECT_EQ(linger.window(), 0ns);
    sleep_for(1s);
    EXPECT_EQ(linger.window(), 0ns);
}

TEST_F(LingerTest, ChainThatCameInTimeLeavesTheWindow) {
    sleep_for(20us);
    linger.rest(now);
    now += 3us;
    linger.met();
    now += 1s;
    linger.woken(now);  // a kick that was on its way
    EXPECT_EQ(linger.window(), 4us);
}

TEST_F(LingerTest, FirstKickOfAllSaysNothing) {
    linger.woken(now);
    EXPECT_EQ(linger.window(), 0ns);
}

}  // namespace
}  // namespace vmm::virtio
