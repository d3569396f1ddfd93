// SPDX-License-Identifier: Apache-2.0
// A disk's file on a file system that does not answer: nothing but that disk waits for it.
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>

#include "hung_file_system.hpp"
#include "rig.hpp"

namespace vmm::endings {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kMessage =
    "disk0 did not stop within 1 s (--stop-timeout): the host does not answer what the guest "
    "asked of it\n"
    "  help: Look at the file system or device that it is on. Until that answers, the kernel may "
    "keep the process, which has nothing left to do.\n";

class HungDiskTest : public EndingTest {
protected:
    void SetUp() override {
        EndingTest::SetUp();
        if (IsSkipped())
            return;
        std::filesystem::create_directory(path("mount"));
        files_ = std::make_unique<HungFileSystem>(path("mount"));
        if (!files_->mounted())
            GTEST_SKIP() << "cannot mount a FUSE file system here";
    }
    void TearDown() override {
        files_.reset();  // first: until then the kernel may keep the process
        vmm_.reset();
        EndingTest::TearDown();
    }

    /// A machine with that disk, whose guest has asked it for something that it does not get.
    Child& hang(const std::string& stop_timeout, std::vector<std::string> more = {}) {
        more.insert(more.end(),
                    {"--disk", files_->file(), "--stop-timeout", stop_timeout, "-l", "info"});
        auto& vmm = vmm_.emplace(run(std::move(more)), StartOptions{.terminal = true});
        EXPECT_TRUE(vmm.says("ready"));
        files_->hang();
        vmm.type("d");
        EXPECT_TRUE(vmm.says("asked"));
        EXPECT_TRUE(files_->asked());
        return vmm;
    }

    std::unique_ptr<HungFileSystem> files_;
    std::optional<Child> vmm_;
};

TEST_F(HungDiskTest, QuitDoesNotWaitForIt) {
    const auto pid_file = path("pid");
    auto& vmm = hang("1", {"--pid-file", pid_file});
    ASSERT_TRUE(vmm.becomes_raw());
    vmm.type("\x01x");

    ASSERT_TRUE(vmm.complains("nothing left to do"));
    EXPECT_TRUE(vmm.given_back());
    EXPECT_FALSE(std::filesystem::exists(pid_file));

    files_.reset();
    EXPECT_EQ(vmm.end(), 1);
    EXPECT_THAT(vmm.error(), HasSubstr(std::string{"error: "} + kMessage));
}

TEST_F(HungDiskTest, SignalDoesNotWaitForIt) {
    auto& vmm = hang("1");
    vmm.send_twice(SIGTERM);

    ASSERT_TRUE(vmm.complains("nothing left to do"));
    EXPECT_TRUE(vmm.given_back());

    files_.reset();
    EXPECT_EQ(vmm.end(), 128 + SIGTERM);
    EXPECT_THAT(vmm.error(), AllOf(HasSubstr("ended by SIGTERM"), HasSubstr(kMessage)));
}

TEST_F(HungDiskTest, ResetEndsTheProcessAfterTheLimit) {
    auto& vmm = hang("1", {"--on-crash", "reset"});
    vmm.type("t");

    ASSERT_TRUE(vmm.complains("nothing left to do"));
    EXPECT_TRUE(vmm.given_back());

    files_.reset();
    EXPECT_EQ(vmm.end(), 1);
    EXPECT_THAT(vmm.error(), HasSubstr(std::string{"error: "} + kMessage));
}

TEST_F(HungDiskTest, LoopGoesOnDuringAResetThatWaits) {
    auto& vmm = hang("3600", {"--on-crash", "reset", "--debug-exit", "0xf4"});
    vmm.type("t");
    ASSERT_TRUE(vmm.complains("[info] reset"));
    vmm.type("\x01h");
    ASSERT_TRUE(vmm.says("Ctrl-A x"));

    files_->answer();
    ASSERT_TRUE(vmm.says("ready"));  // again
    vmm.type("q");
    EXPECT_EQ(vmm.end(), 0);
}

TEST_F(HungDiskTest, LoopGoesOnWhileItsSizeIsAskedFor) {
    auto& vmm = vmm_.emplace(run({"--disk", files_->file(), "--stop-timeout", "1"}),
                             StartOptions{.terminal = true});
    ASSERT_TRUE(vmm.says("ready"));
    files_->hang();
    vmm.type(
        "\x01"
        "d");
    ASSERT_TRUE(files_->asked());
    vmm.type("\x01h");
    ASSERT_TRUE(vmm.says("Ctrl-A x"));
    vmm.type("\x01x");

    ASSERT_TRUE(vmm.complains("nothing left to do"));
    EXPECT_TRUE(vmm.given_back());
    files_.reset();
    EXPECT_EQ(vmm.end(), 1);
}

TEST_F(HungDiskTest, ResizedDiskIsTold) {
    auto& vmm = vmm_.emplace(run({"--disk", files_->file(), "-l", "info", "--debug-exit", "0xf4"}),
                             StartOptions{.terminal = true});
    ASSERT_TRUE(vmm.says("ready"));
    files_->resize(2 << 20);
    vmm.type(
        "\x01"
        "d");

    EXPECT_TRUE(vmm.complains("2097152 bytes, was 1048576"));
    vmm.type("q");
    EXPECT_EQ(vmm.end(), 0);
}

}  // namespace
}  // namespace vmm::endings
