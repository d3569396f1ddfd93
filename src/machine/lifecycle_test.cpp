// SPDX-License-Identifier: Apache-2.0
#include "machine/lifecycle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::machine {
namespace {

using Do = Decision::Do;

TEST(DecideTest, PowerOffEndsWithNothingToSay) {
    const auto decision = decide(Event::PowerOff, {});

    EXPECT_EQ(decision.what, Do::End);
    EXPECT_EQ(decision.outcome.ending, Ending::PoweredOff);
    EXPECT_EQ(decision.outcome.message, "");
}

TEST(DecideTest, ResetFollowsItsPolicy) {
    EXPECT_EQ(decide(Event::Reset, {.on_reset = OnReset::Reset}).what, Do::Reset);

    const auto decision = decide(Event::Reset, {.on_reset = OnReset::Exit});
    EXPECT_EQ(decision.what, Do::End);
    EXPECT_EQ(decision.outcome.ending, Ending::Reset);
    EXPECT_EQ(decision.outcome.message, "the guest asked for a reset");
}

TEST(DecideTest, TripleFaultFollowsTheCrashPolicy) {
    EXPECT_EQ(decide(Event::TripleFault, {.on_crash = OnCrash::Reset}).what, Do::Reset);

    const auto decision = decide(Event::TripleFault, {}, "vCPU 0: shut down");
    EXPECT_EQ(decision.outcome.ending, Ending::Crashed);
    EXPECT_EQ(decision.outcome.message, "vCPU 0: shut down");
}

TEST(DecideTest, HypervisorFailureIsNotSubjectToTheCrashPolicy) {
    EXPECT_EQ(decide(Event::Failed, {.on_crash = OnCrash::Reset}, "no").what, Do::End);
}

TEST(DecideTest, WhatTheHostLacksIsNotTheGuestsCrash) {
    const auto decision = decide(Event::HostFailed, {.on_crash = OnCrash::Reset}, "no page");
    EXPECT_EQ(decision.what, Do::End);
    EXPECT_EQ(decision.outcome.ending, Ending::HostFailed);
    EXPECT_EQ(decision.outcome.message, "no page");
}

TEST(DecideTest, PanicFollowsItsPolicy) {
    EXPECT_EQ(decide(Event::Panicked, {.on_panic = OnPanic::Exit}).outcome.ending,
              Ending::Panicked);
    EXPECT_EQ(decide(Event::Panicked, {.on_panic = OnPanic::Reset}).what, Do::Reset);
    EXPECT_EQ(decide(Event::Panicked, {.on_panic = OnPanic::Pause}).what, Do::Pause);
    EXPECT_EQ(decide(Event::Panicked, {.on_panic = OnPanic::Continue}).what, Do::Continue);
}

TEST(DecideTest, CrashKernelIsTheGuestsOwnAffair) {
    EXPECT_EQ(decide(Event::CrashKernelLoaded, {}).what, Do::Continue);
}

struct EventsTest : testing::Test {
    std::unique_ptr<Events> events = std::move(*Events::create({}));
};

TEST_F(EventsTest, NothingRaisedTakesNothing) {
    EXPECT_FALSE(events->take());
}

TEST_F(EventsTest, ManyOfOneKindAreOne) {
    for (int i = 0; i < 100'000; ++i)
        events->notify(GuestEvent::CrashKernelLoaded);

    ASSERT_TRUE(events->take());
    EXPECT_FALSE(events->take());
}

TEST_F(EventsTest, PowerOffWinsOverReset) {
    events->notify(GuestEvent::Reset);
    events->notify(GuestEvent::PowerOff);

    EXPECT_EQ(events->take()->event, Event::PowerOff);
    EXPECT_EQ(events->take()->event, Event::Reset);
}

TEST_F(EventsTest, ReportOfAVcpuSaysWhich) {
    events->report(3, {VcpuStop::Why::Failed, "KVM cannot go on", "Look there."});
    events->report(4, {VcpuStop::Why::Failed, "later", "Look elsewhere."});

    const auto taken = events->take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->event, Event::Failed);
    EXPECT_EQ(taken->words.text, "vCPU 3: KVM cannot go on");
    EXPECT_EQ(taken->words.advice, "Look there.");
}

TEST_F(EventsTest, ClearForgetsWhatWasRaised) {
    events->raise(Event::Reset);

    events->clear();

    EXPECT_FALSE(events->take());
}

TEST_F(EventsTest, ExitValueIsKept) {
    events->raise_exit(33);

    EXPECT_EQ(events->take()->event, Event::TestExit);
    EXPECT_EQ(events->exit_value(), 33);
}

}  // namespace
}  // namespace vmm::machine
