// SPDX-License-Identifier: Apache-2.0
// How a machine that runs is found: its pid file, its name in the log. Needs /dev/kvm.
#include <poll.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/running_test_support.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm::cli {
namespace {

using testing::HasSubstr;

TEST_F(RunningTest, PidFileHoldsTheProcessWhileTheGuestRuns) {
    const pid_t first = start_machine();
    EXPECT_EQ(content(pid_file_), std::to_string(first) + "\n");

    const auto second = vmm({"run", "-k", kernel_, "--serial", "null", "--pid-file", pid_file_});
    EXPECT_EQ(second.code, 1);
    EXPECT_THAT(second.err,
                HasSubstr("the machine of process " + std::to_string(first) + " has this file"));

    ASSERT_EQ(::kill(first, SIGKILL), 0);
    end_of(first);
    EXPECT_EQ(content(pid_file_), std::to_string(first) + "\n");  // left behind

    const pid_t next = start_machine();
    EXPECT_EQ(content(pid_file_), std::to_string(next) + "\n");
    ASSERT_EQ(::kill(next, SIGTERM), 0);
    ASSERT_EQ(::kill(next, SIGINT), 0);  // the guest does not know the power button
    EXPECT_GE(end_of(next).code, 128);
    EXPECT_FALSE(std::filesystem::exists(pid_file_));
}

/// The host CPUs that each thread may run on, by the thread's name.
std::map<std::string, std::string> affinities(pid_t pid) {
    std::map<std::string, std::string> all;
    const auto value = [](const std::string& status, std::string_view key) {
        const auto at = status.find(key);
        return at == std::string::npos
                   ? std::string{}
                   : status.substr(at + key.size(), status.find('\n', at) - at - key.size());
    };
    for (const auto& task : std::filesystem::directory_iterator{cat("/proc/", pid, "/task")}) {
        const auto status = content(task.path() / "status");
        all[value(status, "Name:\t")] = value(status, "Cpus_allowed_list:\t");
    }
    return all;
}

TEST_F(RunningTest, VcpusArePinnedToTheirHostCpusAndNothingElseIs) {
    const auto usable = usable_processors();
    ASSERT_TRUE(usable);
    const auto last = std::to_string(usable->back());
    const auto ours = affinities(::getpid()).begin()->second;

    const pid_t pid = start_machine({"--cpus", "2,affinity=[0@[" + last + "]]"});
    const std::map<std::string, std::string> wanted{
        {"vmm", ours}, {"vcpu0", last}, {"vcpu1", ours}};
    // A thread starts on another CPU than its maker's, and may run anywhere once it does run.
    auto threads = affinities(pid);
    for (int i = 0; i < 6000 && !std::ranges::includes(threads, wanted); ++i) {
        ::poll(nullptr, 0, 10);
        threads = affinities(pid);
    }
    ::kill(pid, SIGKILL);
    end_of(pid);

    EXPECT_THAT(threads, testing::IsSupersetOf(wanted));
}

TEST_F(RunningTest, HostCpuThatIsNotThereIsABadRequest) {
    const std::vector<std::string> machine{"-k", kernel_, "--cpus", "affinity=[0@[8191]]"};
    std::vector<std::string> run{"run", "--debug-exit", "0xf4"};
    std::vector<std::string> check{"config", "check"};
    run.insert(run.end(), machine.begin(), machine.end());
    check.insert(check.end(), machine.begin(), machine.end());
    const auto usable = usable_processors();
    ASSERT_TRUE(usable);

    const auto outcome = vmm(run);

    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err,
              cat("error: cpus.affinity[0]: host CPU 8191 does not exist\n  help: Choose among "
                  "host CPUs ",
                  processors_text(*usable), ".\n"));
    EXPECT_EQ(vmm(check).out, "ok\n");  // which may be another host
}

TEST_F(RunningTest, StartThatFailsLeavesNoPidFile) {
    const auto outcome = vmm({"run", "-k", "/nonexistent", "--pid-file", pid_file_});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_FALSE(std::filesystem::exists(pid_file_));
}

TEST_F(RunningTest, NameOfTheMachineIsInEachRecord) {
    const auto outcome = vmm({"run", "-k", kernel_, "--serial", "null", "--debug-exit", "0xf4",
                              "-l", "info", "--name", "web"});

    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("[vmm web] [info] started"));
    EXPECT_THAT(outcome.err,
                testing::ContainsRegex("\\[20[0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:"
                                       "[0-5][0-9]\\.[0-9]{3}Z\\] \\[vmm web\\] \\[info\\] "));
    EXPECT_THAT(outcome.err, testing::Not(HasSubstr("[vmm] ")));
}

}  // namespace
}  // namespace vmm::cli
