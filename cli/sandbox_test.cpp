// SPDX-License-Identifier: Apache-2.0
// What is left to the process of a machine that runs. Needs /dev/kvm.
#include <fcntl.h>
#include <poll.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cli/running_test_support.hpp"
#include "support/sanitizers.hpp"
#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

using testing::HasSubstr;

class SandboxTest : public RunningTest {
protected:
    void end(pid_t pid) const {
        ::kill(pid, SIGKILL);
        end_of(pid);
    }
};

/// Values of a line of /proc/PID/status, of each thread.
std::vector<std::string> of_threads(pid_t pid, std::string_view key) {
    std::vector<std::string> values;
    for (const auto& task : std::filesystem::directory_iterator{cat("/proc/", pid, "/task")}) {
        std::ifstream status{task.path() / "status"};
        for (std::string line; std::getline(status, line);)
            if (line.starts_with(key))
                values.push_back(line.substr(line.find_last_of("\t ") + 1));
    }
    return values;
}

TEST_F(SandboxTest, EveryThreadHasGivenUpItsRights) {
    if (test::kSanitized)
        GTEST_SKIP() << "a sanitizer may have a thread of its own";
    const auto log = folder_ / "log";
    const pid_t pid = start_machine({"--cpus", "2", "--log-file", log.string()});
    // The second vCPU comes up while the guest runs, and the thread that asks KVM for its features
    // ends: that one is older than the sandbox.
    const auto confined = [&] {
        const auto values = of_threads(pid, "NoNewPrivs:");
        return values.size() >= 4 && std::ranges::count(values, "0") == 0;
    };
    for (int i = 0; i < 6000 && !(confined() && content(log).contains("sandbox:")); ++i)
        ::poll(nullptr, 0, 10);
    const auto privileges = of_threads(pid, "NoNewPrivs:");
    const auto capabilities = of_threads(pid, "CapPrm:");
    end(pid);

    EXPECT_GE(privileges.size(), 4U);  // main, vCPUs, log; and KVM's own
    EXPECT_THAT(privileges, testing::Each("1"));
    EXPECT_THAT(capabilities, testing::Each("0000000000000000"));
    EXPECT_THAT(content(log), HasSubstr("sandbox: no new privileges, no capabilities"));
}

TEST_F(SandboxTest, OffLeavesTheProcessAsItWas) {
    const pid_t pid = start_machine({"--sandbox", "off"});
    const auto privileges = of_threads(pid, "NoNewPrivs:");
    end(pid);

    EXPECT_THAT(privileges, testing::Each("0"));
}

TEST_F(SandboxTest, ReportIsPrintedBeforeTheGuestStarts) {
    const auto outcome =
        vmm({"run", "-k", kernel_, "--serial", "null", "--debug-exit", "0xf4", "--sandbox-report"});

    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.err,
                testing::StartsWith("vmm: sandbox:\n  no new privileges\n  no capabilities\n"));
    const auto off = vmm({"run", "-k", kernel_, "--serial", "null", "--debug-exit", "0xf4",
                          "--sandbox-report", "--sandbox", "off"});
    EXPECT_EQ(off.err, "vmm: sandbox:\n  off\n");
}

TEST_F(SandboxTest, SocketAndLinkGoAtTheEnd) {
    const auto socket = (folder_ / "socket").string();
    const auto link = (folder_ / "pty").string();
    const pid_t pid = start_machine(
        {"--console", "pty,link=" + link, "--console-port", "name=a,socket=" + socket});
    EXPECT_TRUE(std::filesystem::is_socket(socket));
    EXPECT_TRUE(std::filesystem::is_symlink(link));

    ::kill(pid, SIGTERM);
    ::kill(pid, SIGINT);
    end_of(pid);

    EXPECT_FALSE(std::filesystem::exists(socket));
    EXPECT_FALSE(std::filesystem::is_symlink(link));
    EXPECT_FALSE(std::filesystem::exists(pid_file_));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator{folder_}, {}), 3)
        << "payload, out, err";
}

/// A helper process whose program is a script in the place of passt.
class HelperTest : public SandboxTest {
protected:
    void SetUp() override {
        SandboxTest::SetUp();
        path_before_ = std::getenv("PATH");
        ::setenv("PATH", (folder_.string() + ":" + path_before_).c_str(), 1);
    }
    void TearDown() override {
        if (!path_before_.empty())
            ::setenv("PATH", path_before_.c_str(), 1);
        SandboxTest::TearDown();
    }

    /// The machine's, once its helper has started.
    pid_t start_with_helper(std::string_view script) {
        const auto program = file("passt", cat("#!/bin/sh\necho MAC: >&2\n", script, "\n"));
        std::filesystem::permissions(program, std::filesystem::perms::owner_all);
        const pid_t pid = start_machine({"--net", "user"});
        // Asked of the kernel: the helper may write no file.
        helper_ = std::stoi(content(cat("/proc/", pid, "/task/", pid, "/children")));
        return pid;
    }
    /// Whoever adopts it when its machine was killed may leave it a zombie.
    bool helper_ends() const {
        for (int i = 0; i < 1000; ++i) {
            const auto status = content(cat("/proc/", helper_, "/status"));
            if (status.empty() || status.contains("State:\tZ"))
                return true;
            ::poll(nullptr, 0, 10);
        }
        return false;
    }

    pid_t helper_ = 0;
    std::string path_before_;
};

TEST_F(HelperTest, GoesWithAMachineThatIsKilled) {
    const pid_t pid = start_with_helper("exec 2> /dev/null; cat <&3 > /dev/null");
    ::kill(pid, SIGKILL);
    end_of(pid);

    EXPECT_TRUE(helper_ends());
}

TEST_F(HelperTest, IsEndedEvenIfItIgnoresTheEndOfItsSocket) {
    const pid_t pid = start_with_helper("trap '' TERM; while :; do sleep 1; done");
    ::kill(pid, SIGTERM);
    ::kill(pid, SIGINT);
    end_of(pid);

    EXPECT_TRUE(helper_ends());
}

TEST_F(SandboxTest, PathOfARuleHasToExist) {
    const auto none = (folder_ / "none").string();
    const auto outcome = vmm({"run", "-k", kernel_, "--serial", "null", "--debug-exit", "0xf4",
                              "--landlock-rules", "path=" + none + ",access=r"});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err, "error: landlock_rules[0] (--landlock-rules): " + none +
                               ": open: No such file or directory (errno 2)\n  help: Name a path "
                               "that exists when the machine starts, or leave the rule out.\n");
}

TEST_F(SandboxTest, RuleIsInTheReport) {
    const auto outcome =
        vmm({"run", "-k", kernel_, "--serial", "null", "--debug-exit", "0xf4", "--landlock-rules",
             "path=" + folder_.string() + ",access=rw", "--sandbox-report"});

    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("allowed in " + folder_.string() + ": read and write\n"));
}

TEST_F(SandboxTest, RuleWithoutASandboxIsSaidToDoNothing) {
    const auto outcome = vmm({"run", "-k", kernel_, "--serial", "null", "--debug-exit", "0xf4",
                              "--landlock-rules", "path=/tmp,access=rw", "--sandbox", "off"});

    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err,
                HasSubstr("landlock_rules (--landlock-rules) has no effect with --sandbox off"));
}

/// Of an absolute path: `tmp` of /tmp/a/b.
std::string first_name(const std::filesystem::path& path) {
    return *path.relative_path().begin();
}

TEST_F(SandboxTest, StrictMachineHasAnEmptyRoot) {
    if (test::kSanitized)
        GTEST_SKIP() << "a sanitizer needs /proc";
    const auto socket = (folder_ / "socket").string();
    const pid_t pid =
        start_machine({"--sandbox", "strict", "--console-port", "name=a,socket=" + socket,
                       "--log-file", (folder_ / "log").string()});
    if (content(pid_file_).empty())
        GTEST_SKIP() << end_of(pid).err;
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{cat("/proc/", pid, "/root")})
        names.insert(entry.path().filename());
    const auto space = [](const std::string& of, std::string_view kind) {
        return std::filesystem::read_symlink(cat("/proc/", of, "/ns/", kind)).string();
    };
    for (const auto* const kind : {"mnt", "net", "ipc", "uts"})
        EXPECT_NE(space(std::to_string(pid), kind), space("self", kind));
    ::kill(pid, SIGTERM);
    ::kill(pid, SIGINT);
    const auto outcome = end_of(pid);

    // The folder that holds the socket, and the one that relative paths start from.
    const std::set<std::string> kept{first_name(folder_),
                                     first_name(std::filesystem::current_path())};
    EXPECT_EQ(names, kept) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(pid_file_));
    EXPECT_FALSE(std::filesystem::exists(socket));
    EXPECT_THAT(content(folder_ / "log"), HasSubstr("namespaces: mount (an empty root)"));
}

/// Descriptors that a program which the process executes would have too.
std::vector<std::string> inheritable(const std::string& process) {
    std::vector<std::string> open;
    for (const auto& entry :
         std::filesystem::directory_iterator{cat("/proc/", process, "/fdinfo")}) {
        std::ifstream info{entry.path()};
        for (std::string line; std::getline(info, line);)
            if (line.starts_with("flags:") &&
                (std::stoul(line.substr(6), nullptr, 8) & O_CLOEXEC) == 0)
                open.push_back(entry.path().filename());
    }
    return open;
}

TEST_F(SandboxTest, DescriptorsDoNotOutliveTheProgram) {
    const auto disk = file("disk", std::string(1 << 20, '\0'));
    const pid_t pid = start_machine({"--disk", disk, "--console", "pty", "--rng", "--console-port",
                                     "name=a,socket=" + (folder_ / "socket").string(), "--log-file",
                                     (folder_ / "log").string()});
    const auto inherited = inheritable(std::to_string(pid));
    auto before = inheritable("self");  // of whoever started this test
    before.insert(before.end(), {"0", "1", "2"});
    end(pid);

    EXPECT_THAT(inherited, testing::IsSubsetOf(before));
}

TEST_F(SandboxTest, NoMappingIsWritableAndExecutable) {
    const pid_t pid = start_machine({"--memory", "64M"});
    std::ifstream maps{cat("/proc/", pid, "/maps")};
    std::vector<std::string> wrong;
    std::uint64_t guard_end = 0;
    bool ram_between_guards = false;
    std::uint64_t ram_end = 0;
    for (std::string line; std::getline(maps, line);) {
        const auto first = std::stoull(line, nullptr, 16);
        const auto last = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
        const auto rights = line.substr(line.find(' ') + 1, 4);
        if (rights.contains('w') && rights.contains('x'))
            wrong.push_back(line);
        if (rights.starts_with("---")) {
            ram_between_guards = ram_between_guards || (ram_end != 0 && ram_end == first);
            guard_end = last;
        }
        if (last - first == 64ULL << 20 && rights.starts_with("rw-") && guard_end == first)
            ram_end = last;
    }
    end(pid);

    EXPECT_TRUE(ram_between_guards || test::kSanitized);
    EXPECT_THAT(wrong, testing::IsEmpty());
}

}  // namespace
}  // namespace vmm::cli
