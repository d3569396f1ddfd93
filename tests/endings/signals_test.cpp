// SPDX-License-Identifier: Apache-2.0
// Each signal of docs/running.md against the built program.
#include "vmm/signals.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "rig.hpp"

namespace vmm::endings {
namespace {

using testing::HasSubstr;
using testing::Values;

std::string name_of(const testing::TestParamInfo<int>& info) {
    auto name = signal_name(info.param);
    std::ranges::replace(name, '+', '_');
    return name;
}

class SignalTest : public EndingTest, public testing::WithParamInterface<int> {};

// ---- that end it

using EndingSignalTest = SignalTest;

TEST_P(EndingSignalTest, TwiceEndsTheMachineWithItsCodeAndGivesTheTerminalBack) {
    Child vmm{run({"-l", "info"}), {.terminal = true}};
    ASSERT_TRUE(vmm.says("ready"));
    vmm.send_twice(GetParam());

    EXPECT_EQ(vmm.end(), 128 + GetParam());
    EXPECT_THAT(vmm.error(),
                HasSubstr("vmm: ended by " + signal_name(GetParam()) + "; the guest had not"));
    EXPECT_TRUE(vmm.given_back());
}

TEST_P(EndingSignalTest, IgnoredAtExecStaysIgnored) {
    Child vmm{run({"--debug-exit", "0xf4"}), {.ignored = {GetParam()}}};
    ASSERT_TRUE(vmm.says("ready"));
    vmm.send(GetParam());
    vmm.send(GetParam());
    vmm.type("q");

    EXPECT_EQ(vmm.end(), 0);
    EXPECT_EQ(vmm.error(), "");
}

// An inherited mask is an accident, as of a program that blocks signals in the thread that forks.
TEST_P(EndingSignalTest, BlockedAtExecEndsItAllTheSame) {
    Child vmm{run({"-l", "info"}), {.blocked = {GetParam()}}};
    ASSERT_TRUE(vmm.says("ready"));
    vmm.send_twice(GetParam());

    EXPECT_EQ(vmm.end(), 128 + GetParam());
}

INSTANTIATE_TEST_SUITE_P(, EndingSignalTest,
                         Values(SIGHUP, SIGINT, SIGQUIT, SIGUSR2, SIGALRM, SIGTERM, SIGSTKFLT,
                                SIGXCPU, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGRTMIN + 1, SIGRTMAX),
                         name_of);

// ---- that do not

using HarmlessSignalTest = SignalTest;

TEST_P(HarmlessSignalTest, MachineRunsOn) {
    Child vmm{run({"--debug-exit", "0xf4"}), {}};
    ASSERT_TRUE(vmm.says("ready"));
    vmm.send(GetParam());
    vmm.send(GetParam());
    vmm.type("m");
    EXPECT_TRUE(vmm.says("touched"));
    vmm.type("q");

    EXPECT_EQ(vmm.end(), 0);
    EXPECT_EQ(vmm.error(), "");
}

INSTANTIATE_TEST_SUITE_P(, HarmlessSignalTest,
                         Values(SIGUSR1, SIGPIPE, SIGCHLD, SIGCONT, SIGURG, SIGXFSZ, SIGWINCH,
                                SIGRTMIN),
                         name_of);

// ---- faults

using FaultTest = SignalTest;

TEST_P(FaultTest, InTheMainThreadGivesTheTerminalBackAndDiesOfIt) {
    Child vmm{run(), {.terminal = true}};
    ASSERT_TRUE(vmm.says("ready"));
    EXPECT_TRUE(vmm.becomes_raw());
    vmm.send(GetParam());

    EXPECT_EQ(vmm.end(), -GetParam());
    EXPECT_THAT(vmm.error(),
                HasSubstr("vmm: died of " + signal_name(GetParam()) + " sent by process "));
    EXPECT_TRUE(vmm.given_back());
}

TEST_P(FaultTest, InAVcpuThreadGivesTheTerminalBackAndDiesOfIt) {
    const auto pid_file = path("pid");
    Child vmm{run({"--pid-file", pid_file}), {.terminal = true}};
    ASSERT_TRUE(vmm.says("ready"));
    for (int i = 0; i < 3000 && !std::filesystem::exists(pid_file); ++i)
        ::usleep(10'000);
    vmm.send(GetParam(), "vcpu0");

    EXPECT_EQ(vmm.end(), -GetParam());
    EXPECT_THAT(vmm.error(), HasSubstr(" in thread vcpu0"));
    EXPECT_TRUE(vmm.given_back());
    EXPECT_FALSE(std::filesystem::exists(pid_file));
}

INSTANTIATE_TEST_SUITE_P(, FaultTest,
                         Values(SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS),
                         name_of);

// ---- while the machine is being made

using StopTest = EndingTest;

TEST_F(StopTest, GivesTheTerminalBackUntilTheMachineGoesOn) {
    Child vmm{run({"--debug-exit", "0xf4"}), {.terminal = true}};
    ASSERT_TRUE(vmm.says("ready"));
    ASSERT_TRUE(vmm.becomes_raw());
    vmm.send(SIGTSTP);
    for (int waited = 0; waited < 3000 && !vmm.given_back(); ++waited)
        ::usleep(10'000);
    EXPECT_TRUE(vmm.given_back());
    EXPECT_TRUE(vmm.runs());
    vmm.send(SIGCONT);
    ASSERT_TRUE(vmm.becomes_raw());
    vmm.type("q");

    EXPECT_EQ(vmm.end(), 0);
}

class StartUpTest : public EndingTest {
protected:
    /// A passt that leaves a file "asked" and says nothing: the start waits for it, with all that
    /// was made before.
    std::string waiting_passt() const {
        write("passt", "#!/bin/sh\n: > \"${0%passt}asked\"\nexec sleep 20\n");
        std::filesystem::permissions(folder_ / "passt", std::filesystem::perms::owner_all);
        return folder_.string() + ":/usr/bin:/bin";
    }
    void wait_for(const std::string& file) const {
        for (int i = 0; i < 3000 && !std::filesystem::exists(file); ++i)
            ::usleep(10'000);
        ASSERT_TRUE(std::filesystem::exists(file));
    }
};

TEST_F(StartUpTest, SignalEndsItAtOnceAndLeavesNoFilesBehind) {
    const auto socket = path("console");
    const auto ram = path("ram");
    Child vmm{run({"--serial", "socket=" + socket, "--net", "user", "--memory", "64M,file=" + ram}),
              {.terminal = true, .path = waiting_passt()}};
    wait_for(socket);
    vmm.send(SIGINT);

    EXPECT_EQ(vmm.end(), 128 + SIGINT);
    EXPECT_EQ(vmm.error(), "vmm: ended by SIGINT while the machine was being started\n");
    EXPECT_FALSE(std::filesystem::exists(socket));
    EXPECT_FALSE(std::filesystem::exists(ram));
}

TEST_F(StartUpTest, FaultLeavesNoSocketBehind) {
    const auto socket = path("console");
    Child vmm{run({"--serial", "socket=" + socket, "--net", "user"}), {.path = waiting_passt()}};
    // Not for the socket: unlike a signal, a fault is not kept waiting until it has an owner.
    wait_for(path("asked"));
    ASSERT_TRUE(std::filesystem::exists(socket));
    vmm.send(SIGSEGV);

    EXPECT_EQ(vmm.end(), -SIGSEGV);
    EXPECT_FALSE(std::filesystem::exists(socket));
}

TEST_F(StartUpTest, SignalEndsPrefaultingAtOnce) {
    Child vmm{run({"--memory", "2G,prefault=on"}), {}};
    const auto resident = [&] {
        std::ifstream statm{"/proc/" + std::to_string(vmm.pid()) + "/statm"};
        std::uint64_t size = 0;
        std::uint64_t pages = 0;
        statm >> size >> pages;
        return pages * 4096;
    };
    while (vmm.runs() && resident() < (64U << 20))
        ::usleep(1000);
    vmm.send(SIGINT);

    EXPECT_EQ(vmm.end(), 128 + SIGINT);
    EXPECT_LT(vmm.error().size(), 200U);
}

// Which opens when somebody writes: never.
TEST_F(StartUpTest, SignalEndsTheWaitForANamedPipe) {
    const auto pipe = path("config");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    Child vmm{{"run", "--config", pipe}, {}};
    const auto handler_is_there = [&] {
        std::ifstream status{"/proc/" + std::to_string(vmm.pid()) + "/status"};
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("SigCgt:"))
                return (std::stoull(line.substr(7), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
        return false;
    };
    for (int i = 0; i < 3000 && !handler_is_there(); ++i)
        ::usleep(10'000);
    vmm.send(SIGTERM);

    EXPECT_EQ(vmm.end(), 128 + SIGTERM);
}

}  // namespace
}  // namespace vmm::endings
