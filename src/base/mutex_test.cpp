// SPDX-License-Identifier: Apache-2.0
#include "vmm/mutex.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "vmm/text.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;

using DeviceMutex = RankedMutex<LockRank::Device>;
using LogMutex = RankedMutex<LockRank::LogSink>;

#ifndef NDEBUG

/// A mutex of that rank in a message.
template <LockRank Rank>
std::string named(std::string_view name) {
    return cat(name, " \\(rank ", std::to_underlying(Rank), "\\)");
}

struct LockOrderDeathTest : testing::Test {
    LockOrderDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

    const std::string device = named<LockRank::Device>("Device");
    const std::string log_sink = named<LockRank::LogSink>("LogSink");
    DeviceMutex outer;
    LogMutex inner;
};

TEST_F(LockOrderDeathTest, OutwardLockEndsTheProcessAndNamesBoth) {
    const std::lock_guard held{inner};

    EXPECT_DEATH(outer.lock(), cat(device, " is taken while ", log_sink, " is held"));
}

TEST_F(LockOrderDeathTest, SecondMutexOfOneRankEndsTheProcess) {
    DeviceMutex other;
    const std::lock_guard held{outer};

    EXPECT_DEATH(other.lock(), cat(device, " is taken while ", device, " is held"));
}

TEST_F(LockOrderDeathTest, RecursionEndsTheProcess) {
    const std::lock_guard held{outer};

    EXPECT_DEATH(outer.lock(), cat(device, " is taken by the thread that holds it"));
}

// The highest one counts, not the last.
TEST_F(LockOrderDeathTest, EveryMutexThatIsHeldCounts) {
    RankedMutex<LockRank::PciPin> middle;
    const std::lock_guard high{inner};
    const std::unique_lock low{outer, std::try_to_lock};

    EXPECT_DEATH(middle.lock(), "PciPin .* is taken while LogSink");
}

TEST_F(LockOrderDeathTest, TriedLockCountsAsHeld) {
    const std::unique_lock held{inner, std::try_to_lock};
    ASSERT_TRUE(held.owns_lock());

    EXPECT_DEATH(outer.lock(), "is taken while LogSink");
}

TEST_F(LockOrderDeathTest, ReleaseByAThreadThatDoesNotHoldItEndsTheProcess) {
    EXPECT_DEATH(outer.unlock(), cat(device, " is released by a thread"));
}

TEST_F(LockOrderDeathTest, WaitWithAnotherMutexHeldEndsTheProcess) {
    ConditionVariable changed;
    const std::lock_guard held{outer};
    std::unique_lock lock{inner};

    EXPECT_DEATH(changed.wait(lock, [] { return true; }), "LogSink .* waited with while Device");
    EXPECT_FALSE(changed.wait_for(lock, 1ms, [] { return false; }));  // this one has an end
}

#endif

TEST(MutexTest, InwardLocksMayBeReleasedInAnyOrder) {
    DeviceMutex outer;
    LogMutex inner;

    outer.lock();
    inner.lock();
    outer.unlock();
    inner.unlock();
    const std::scoped_lock again{outer};  // nothing is left of the inner one

    SUCCEED();
}

TEST(MutexTest, TryLockAgainstTheOrderIsAllowed) {
    DeviceMutex outer;
    LogMutex inner;
    const std::lock_guard held{inner};

    const std::unique_lock tried{outer, std::try_to_lock};

    EXPECT_TRUE(tried.owns_lock());
}

TEST(MutexTest, TryLockOfATakenMutexLeavesNothingBehind) {
    LogMutex taken;
    DeviceMutex outer;
    const std::lock_guard held{taken};

    std::thread{[&] {
        EXPECT_FALSE(taken.try_lock());
        const std::lock_guard other{outer};
    }}.join();
}

TEST(MutexTest, WhatOneThreadHoldsIsNothingToAnother) {
    DeviceMutex outer;
    LogMutex inner;
    const std::lock_guard held{inner};

    std::thread{[&] { const std::lock_guard other{outer}; }}.join();

    SUCCEED();
}

TEST(MutexTest, ConditionPassesTurnsBetweenThreads) {
    DeviceMutex mutex;
    ConditionVariable changed;
    constexpr int kTurns = 1000;
    int turns = 0;
    const auto play = [&](int who) {
        std::unique_lock lock{mutex};
        while (turns < kTurns) {
            changed.wait(lock, [&] { return turns >= kTurns || turns % 2 == who; });
            ++turns;
            changed.notify_one();
        }
    };

    std::thread other{[&] { play(1); }};
    play(0);
    other.join();

    EXPECT_GE(turns, kTurns);
    const std::lock_guard free{mutex};  // and everybody has let go of it
}

TEST(MutexTest, WaitThatNobodyEndsGivesUp) {
    DeviceMutex mutex;
    ConditionVariable changed;
    std::unique_lock lock{mutex};

    EXPECT_FALSE(changed.wait_for(lock, 1ms, [] { return false; }));
    EXPECT_TRUE(changed.wait_for(lock, 1ms, [] { return true; }));
    EXPECT_TRUE(lock.owns_lock());
}

TEST(MutexTest, ReferenceToAnyRankIsAMutex) {
    LogMutex one;
    Mutex& any = one;

    const std::unique_lock lock{any};

    EXPECT_TRUE(lock.owns_lock());
}

}  // namespace
}  // namespace vmm
