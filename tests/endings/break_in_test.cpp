// SPDX-License-Identifier: Apache-2.0
// Somebody has taken over a thread of vmm: that is the end of it, and nothing of it is left.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "rig.hpp"
#include "support/sanitizers.hpp"

namespace vmm::endings {
namespace {

using testing::HasSubstr;

/// A line of a thread's /proc/PID/task/TID/status.
std::string status_of(const std::filesystem::path& task, std::string_view key) {
    std::ifstream status{task / "status"};
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(key))
            return line.substr(line.find_first_not_of(" \t", key.size()));
    return {};
}

class BreakInTest : public EndingTest {
protected:
    void SetUp() override {
        if (test::kSanitized)
            GTEST_SKIP() << "sanitizers open files, and want to be loaded first";
        EndingTest::SetUp();
        ::setenv("LD_PRELOAD", VMM_BREAK_IN, 1);
    }
    void TearDown() override {
        ::unsetenv("LD_PRELOAD");
        ::unsetenv("VMM_BREAK_INTO");
        EndingTest::TearDown();
    }

    /// A machine with a disk that its guest uses.
    std::vector<std::string> machine(std::vector<std::string> more = {}) const {
        const auto disk = path("disk");
        write("disk", "");
        std::filesystem::resize_file(disk, 1 << 20);
        more.insert(more.end(), {"--disk", disk, "--pid-file", path("pid")});
        return run(std::move(more));
    }

    void ends(const std::string& thread, std::vector<std::string> more) {
        ::setenv("VMM_BREAK_INTO", thread.c_str(), 1);
        Child vmm{machine(std::move(more)), {.terminal = true}};
        vmm.says("ready");
        vmm.type("d");

        EXPECT_EQ(vmm.end(), -SIGSYS);
        EXPECT_THAT(vmm.error(), HasSubstr("vmm: died of SIGSYS in thread " + thread +
                                           ": it made the system call openat ("));
        EXPECT_TRUE(vmm.given_back());
        EXPECT_FALSE(std::filesystem::exists(path("pid")));
    }
};

TEST_F(BreakInTest, VcpuThatOpensAFileIsTheEnd) {
    ends("vcpu0", {});
}

TEST_F(BreakInTest, IoThreadThatOpensAFileIsTheEnd) {
    ends("io-disk0", {});
}

TEST_F(BreakInTest, LogLetsItGoOn) {
    ::setenv("VMM_BREAK_INTO", "io-disk0", 1);
    Child vmm{machine({"--seccomp", "log", "--debug-exit", "0xf4"}), {}};
    ASSERT_TRUE(vmm.says("ready"));
    vmm.type("d");
    ASSERT_TRUE(vmm.says("asked"));
    vmm.type("q");

    EXPECT_EQ(vmm.end(), 0);
}

TEST_F(BreakInTest, EachThreadHasAFilter) {
    Child vmm{machine(), {}};
    ASSERT_TRUE(vmm.says("ready"));
    vmm.type("d");
    ASSERT_TRUE(vmm.says("asked"));
    for (const auto& task :
         std::filesystem::directory_iterator{"/proc/" + std::to_string(vmm.pid()) + "/task"})
        EXPECT_EQ(status_of(task.path(), "Seccomp:"), "2") << task.path();
    vmm.send(SIGKILL);
}

}  // namespace
}  // namespace vmm::endings
