// SPDX-License-Identifier: Apache-2.0
#include "vmm/signals.hpp"

#include <poll.h>

#include <gtest/gtest.h>

#include <csignal>

namespace vmm {
namespace {

TEST(SignalUseTest, EverySignalOfSignal7HasItsUse) {
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGUSR2, SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU,
                             SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGRTMIN + 1, SIGRTMAX})
        EXPECT_EQ(use_of(signal), SignalUse::Ends) << signal;
    for (const int signal : {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS})
        EXPECT_EQ(use_of(signal), SignalUse::Fault) << signal;
    for (const int signal : {SIGPIPE, SIGXFSZ})
        EXPECT_EQ(use_of(signal), SignalUse::Ignored) << signal;
    for (const int signal : {SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH})
        EXPECT_EQ(use_of(signal), SignalUse::ByDefault) << signal;
    for (const int signal : {SIGKILL, SIGSTOP, 0, 32, 33, SIGRTMAX + 1, -1})
        EXPECT_EQ(use_of(signal), SignalUse::Unseen) << signal;
    EXPECT_EQ(use_of(SIGUSR1), SignalUse::Command);
    EXPECT_EQ(use_of(SIGRTMIN), SignalUse::Kick);
}

TEST(SignalNameTest, IsTheOneOfSignal7) {
    EXPECT_EQ(signal_name(SIGTERM), "SIGTERM");
    EXPECT_EQ(signal_name(SIGSTKFLT), "SIGSTKFLT");
    EXPECT_EQ(signal_name(SIGRTMIN), "SIGRTMIN");
    EXPECT_EQ(signal_name(SIGRTMIN + 3), "SIGRTMIN+3");
    EXPECT_EQ(signal_name(99), "signal 99");
}

/// own_signals() changes the process: the test does it in a child.
class OwnSignalsTest : public testing::Test {
protected:
    OwnSignalsTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
using OwnSignalsDeathTest = OwnSignalsTest;

TEST_F(OwnSignalsDeathTest, SignalBeforeTheMachineRunsEndsAtOnce) {
    const auto body = [] {
        own_signals();
        ::raise(SIGUSR2);
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(128 + SIGUSR2),
                "vmm: ended by SIGUSR2 while the machine was being started");
}

TEST_F(OwnSignalsDeathTest, RequestsOfARunningMachineAreTaken) {
    const auto body = [] {
        own_signals();
        const auto requests = EndRequests::create();
        ::raise(SIGTERM);
        ::raise(SIGINT);
        pollfd asked{.fd = (*requests)->fd(), .events = POLLIN, .revents = 0};
        const bool ready = ::poll(&asked, 1, 0) == 1;
        const auto request = (*requests)->take();
        const bool right = ready && request && request->signal == SIGTERM && request->times == 2 &&
                           !(*requests)->take();
        ::_exit(right ? 0 : 1);
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

TEST_F(OwnSignalsDeathTest, ThirdRequestThatNobodyTakesEndsAtOnce) {
    const auto body = [] {
        own_signals();
        const auto requests = EndRequests::create();
        for (int i = 0; i < 3; ++i)
            ::raise(SIGTERM);
        ::_exit(1);
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(128 + SIGTERM),
                "vmm: ended by SIGTERM: it did not answer");
}

TEST_F(OwnSignalsDeathTest, SignalAfterTheMachineRanEndsAtOnce) {
    const auto body = [] {
        own_signals();
        EndRequests::create()->reset();
        ::raise(SIGTERM);
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(128 + SIGTERM),
                "vmm: ended by SIGTERM while the machine was being taken down");
}

}  // namespace
}  // namespace vmm
