// SPDX-License-Identifier: Apache-2.0
#include "machine/held_signal.hpp"

#include <poll.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <csignal>

namespace vmm::machine {
namespace {

/// Each test starts as a process does, which dies of the signal.
struct HeldSignalTest : testing::Test {
    void SetUp() override {
        std::signal(SIGUSR1, SIG_IGN);  // what is pending goes
        sigset_t set{};
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGUSR1);
        ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        std::signal(SIGUSR1, SIG_DFL);
    }

    static bool readable(const HeldSignal& signal) {
        pollfd asked{.fd = signal.fd(), .events = POLLIN, .revents = 0};
        return ::poll(&asked, 1, 0) == 1;
    }
};

TEST_F(HeldSignalTest, NothingCameNothingIsTaken) {
    const auto signal = HeldSignal::create(SIGUSR1).value();

    EXPECT_FALSE(readable(signal));
    EXPECT_FALSE(signal.take());
}

TEST_F(HeldSignalTest, ManySignalsAreTakenOnce) {
    const auto signal = HeldSignal::create(SIGUSR1).value();

    ::kill(::getpid(), SIGUSR1);
    ::kill(::getpid(), SIGUSR1);

    EXPECT_TRUE(readable(signal));
    EXPECT_TRUE(signal.take());
    EXPECT_FALSE(signal.take());
}

TEST_F(HeldSignalTest, SignalThatComesTooLateIsNotTheEnd) {
    { const auto signal = HeldSignal::create(SIGUSR1).value(); }

    ::kill(::getpid(), SIGUSR1);

    const auto signal = HeldSignal::create(SIGUSR1).value();
    EXPECT_TRUE(signal.take());
}

// As the program has it before there is a machine.
TEST_F(HeldSignalTest, SignalThatWasIgnoredBeforeIsTaken) {
    std::signal(SIGUSR1, SIG_IGN);
    ::kill(::getpid(), SIGUSR1);
    const auto signal = HeldSignal::create(SIGUSR1).value();
    EXPECT_FALSE(signal.take());

    ::kill(::getpid(), SIGUSR1);

    EXPECT_TRUE(signal.take());
}

}  // namespace
}  // namespace vmm::machine
