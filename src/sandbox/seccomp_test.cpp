// SPDX-License-Identifier: Apache-2.0
// Filters in the kernel: each act in a child process, which does not come back from it.
#include "sandbox/seccomp.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "sandbox/acts_test_support.hpp"
#include "sandbox/child_test_support.hpp"
#include "support/sanitizers.hpp"
#include "vmm/call_rule.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/faults.hpp"
#include "vmm/last_step.hpp"
#include "vmm/message_stream.hpp"
#include "vmm/signals.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::sandbox {
namespace {

using testing::HasSubstr;

int confined(ThreadKind kind, Seccomp mode, const Act& act) {
    if (!confine_threads(mode))
        return 99;
    confine_this_thread(kind);
    const auto& a = act.arguments;
    ::syscall(act.call, a[0], a[1], a[2], a[3], a[4], a[5]);
    return 0;
}

class SeccompTest : public testing::TestWithParam<calls::Confined> {
protected:
    void SetUp() override {
        if (test::kSanitized)
            GTEST_SKIP() << "sanitizers need some of it";
    }
};

TEST_P(SeccompTest, ForbiddenActIsTheEnd) {
    for (const Act& act : kForbiddenActs)
        EXPECT_TRUE(
            in_child([&] { return confined(GetParam().kind, Seccomp::On, act); }).died_of(SIGSYS))
            << act.name;
}

TEST_P(SeccompTest, RingCannotBeMade) {
    const auto ended = in_child([&] {
        if (!confine_threads(Seccomp::On))
            return 99;
        confine_this_thread(GetParam().kind);
        std::array<std::byte, 256> parameters{};
        return ::syscall(SYS_io_uring_setup, 8, parameters.data()) < 0 ? 0 : 1;
    });
    EXPECT_TRUE(ended.died_of(SIGSYS) || ended.ended_with(0));
}

TEST_P(SeccompTest, MemoryLocksAndMessagesWork) {
    const auto ended = in_child([&] {
        // Never closed: few kinds of threads may do that.
        static const auto event = EventFd::create();
        if (!confine_threads(Seccomp::On) || !event)
            return 99;
        standard_error();
        confine_this_thread(GetParam().kind);
        event->signal();
        standard_error().write("a message\n");
        const std::vector<char> large(4 << 20, 'x');
        return large.back() == 'x' ? 0 : 1;
    });
    EXPECT_TRUE(ended.ended_with(0)) << ended.status;
    EXPECT_EQ(ended.error, "a message\n");
}

// A file may hang, so a thread of its own writes to it: not made by whoever has the first message.
TEST_P(SeccompTest, MessagesReachAFile) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::tmpfile(), std::fclose};
    const int fd = ::fileno(file.get());
    const auto ended = in_child([&] {
        ::dup2(fd, STDERR_FILENO);
        if (!confine_threads(Seccomp::On))
            return 99;
        standard_error().start_writer();
        confine_this_thread(GetParam().kind);
        standard_error().write("a message\n", std::chrono::seconds{10});
        return 0;
    });
    std::array<char, 64> text{};
    const auto size = ::pread(fd, text.data(), text.size(), 0);

    EXPECT_TRUE(ended.ended_with(0)) << ended.status;
    EXPECT_EQ((std::string_view{text.data(), size > 0 ? static_cast<std::size_t>(size) : 0}),
              "a message\n");
}

INSTANTIATE_TEST_SUITE_P(Threads, SeccompTest, testing::ValuesIn(calls::kConfined),
                         [](const auto& threads) { return std::string{threads.param.name}; });

class SeccompModeTest : public testing::Test {
protected:
    void SetUp() override {
        if (test::kSanitized)
            GTEST_SKIP() << "sanitizers need some of it";
    }
    static constexpr Act kGetppid{"getppid", SYS_getppid};
};

TEST_F(SeccompModeTest, OnEndsLogAndOffLetItPass) {
    for (const auto& [mode, dies] :
         {std::pair{Seccomp::On, true}, {Seccomp::Log, false}, {Seccomp::Off, false}})
        EXPECT_EQ(
            in_child([&] { return confined(ThreadKind::Vcpu, mode, kGetppid); }).died_of(SIGSYS),
            dies);
}

TEST_F(SeccompModeTest, OffLeavesTheProcessAsItWas) {
    EXPECT_TRUE(in_child([&] {
                    confined(ThreadKind::Main, Seccomp::Off, kGetppid);
                    return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
                }).ended_with(0));
}

TEST_F(SeccompModeTest, MainThreadMakesThreadsWithFiltersOfTheirOwn) {
    const auto ended = in_child([&] {
        own_signals();
        if (!confine_threads(Seccomp::On))
            return 99;
        confine_this_thread(ThreadKind::Main);
        auto harmless = make_thread({.kind = ThreadKind::BlockIo, .name = "io-disk0"}, [] {});
        if (!harmless)
            return 1;
        harmless->join();
        auto thread = make_thread({.kind = ThreadKind::EntropyIo, .name = "io-rng"},
                                  []() noexcept { ::syscall(SYS_openat, 0, 0, 0, 0); });
        thread->join();
        return 2;
    });
    EXPECT_TRUE(ended.died_of(SIGSYS)) << ended.status;
    EXPECT_THAT(
        ended.error,
        HasSubstr("vmm: died of SIGSYS in thread io-rng: it made the system call openat ("));
    EXPECT_THAT(ended.error, HasSubstr("\n  help: Report this line"));
}

// A thread that may touch no file has a fault: the main thread does what there is to do.
TEST_F(SeccompModeTest, LastStepsAreTheMainThreads) {
    for (const int fault : {SIGSYS, SIGSEGV}) {
        const auto ended = in_child([&] {
            own_signals();
            if (!confine_threads(Seccomp::On))
                return 99;
            const LastStep step{[](const void*) noexcept {
                                    // In the filter of the main thread only.
                                    ::unlink("/nonexistent");
                                    [[maybe_unused]] const auto said = ::write(2, "step\n", 5);
                                },
                                nullptr};
            auto thread = make_thread({.kind = ThreadKind::Vcpu, .name = "vcpu0"},
                                      [fault]() noexcept { ::raise(fault); });
            confine_this_thread(ThreadKind::Main);
            thread->join();
            return 2;
        });
        EXPECT_TRUE(ended.died_of(fault)) << ended.status;
        EXPECT_THAT(ended.error, testing::StartsWith("step\nvmm: died of SIG"));
    }
}

}  // namespace
}  // namespace vmm::sandbox
