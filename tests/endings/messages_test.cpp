// SPDX-License-Identifier: Apache-2.0
// Standard error and the log when nobody reads them.
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

#include "rig.hpp"

namespace vmm::endings {
namespace {

using MessagesTest = EndingTest;

/// A thread that hangs, as one does in a write to a file system that does not answer. It is stopped
/// by ptrace, which may be forbidden here.
class HungThread {
public:
    explicit HungThread(pid_t thread)
        : thread_{thread},
          held_{::ptrace(PTRACE_SEIZE, thread, 0, 0) == 0 &&
                ::ptrace(PTRACE_INTERRUPT, thread, 0, 0) == 0 &&
                ::waitpid(thread, nullptr, __WALL) == thread} {}

    explicit operator bool() const { return held_; }

    /// Lets it go when its process ends, for half a minute at most.
    bool is_gone() const {
        using Clock = std::chrono::steady_clock;
        for (const auto end = Clock::now() + std::chrono::seconds{30}; Clock::now() < end;) {
            if (::waitpid(thread_, nullptr, __WALL | WNOHANG) != 0)
                return true;
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
        return false;
    }

private:
    pid_t thread_;
    bool held_;
};

TEST_F(MessagesTest, LogSaysWhichThreadIsWhich) {
    Child vmm{run({"-l", "info"}), {}};
    ASSERT_TRUE(vmm.says("ready"));

    const auto vcpu = std::to_string(vmm.thread("vcpu0"));

    EXPECT_TRUE(vmm.complains("thread vcpu0 (vcpu) is " + vcpu + "\n"));
}

TEST_F(MessagesTest, FullPipeAtStandardErrorStopsNothing) {
    Child vmm{run({"-l", "trace", "--on-crash", "reset"}), {.full_error = true}};
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(vmm.says("ready"));
        vmm.type("t");
    }
    ASSERT_TRUE(vmm.says("ready"));
    vmm.send(SIGTERM);  // two that the kernel does not make one of
    vmm.send(SIGINT);

    EXPECT_THAT(vmm.end(), testing::AnyOf(128 + SIGTERM, 128 + SIGINT));
}

TEST_F(MessagesTest, FullPipeAtStandardErrorDoesNotStopAnError) {
    Child vmm{{"run"}, {.full_error = true}};

    EXPECT_EQ(vmm.end(), 2);
}

TEST_F(MessagesTest, LogFileThatHangsStopsNothing) {
    Child vmm{run({"-l", "trace", "--on-crash", "reset", "--log-file", path("log")}), {}};
    ASSERT_TRUE(vmm.says("ready"));
    const pid_t writer = vmm.thread("log");
    ASSERT_NE(writer, 0);
    const HungThread hung{writer};
    if (!hung)
        GTEST_SKIP() << "ptrace is not allowed here";
    for (int i = 0; i < 3; ++i) {
        vmm.type("t");
        ASSERT_TRUE(vmm.says("ready"));
    }
    vmm.send(SIGTERM);  // two that the kernel does not make one of
    vmm.send(SIGINT);

    EXPECT_TRUE(hung.is_gone());
    EXPECT_THAT(vmm.end(), testing::AnyOf(128 + SIGTERM, 128 + SIGINT));
}

TEST_F(MessagesTest, NamedPipeWithoutAReaderIsRefusedAsALogFile) {
    const auto pipe = path("log");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    Child vmm{run({"--log-file", pipe}), {}};

    EXPECT_EQ(vmm.end(), 2);
    EXPECT_EQ(vmm.error(), "error: open log file " + pipe +
                               ": open: No such device or address (errno 6)\n"
                               "  help: If this is a named pipe, start its reader first; for "
                               "standard error leave --log-file out.\n");
}

}  // namespace
}  // namespace vmm::endings
