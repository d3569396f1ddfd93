// SPDX-License-Identifier: Apache-2.0
#include "cli/pid_file.hpp"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

namespace vmm::cli {
namespace {

using testing::HasSubstr;

class PidFileTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = "/tmp/vmm-pid-test-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        path_ = name + "/web.pid";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void put(std::string_view text) const { std::ofstream{path_} << text; }
    std::string content() const {
        std::ifstream in{path_};
        return {std::istreambuf_iterator<char>{in}, {}};
    }
    std::string refusal() const {
        const auto file = PidFile::prepare(path_);
        return file ? "prepared" : file.error().report();
    }
    std::size_t files() const {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator{folder_}, {}));
    }

    std::filesystem::path folder_;
    std::string path_;
};

TEST_F(PidFileTest, IsThereWhileTheMachineRuns) {
    {
        auto file = PidFile::prepare(path_);
        ASSERT_TRUE(file) << file.error().report();
        EXPECT_FALSE(std::filesystem::exists(path_));

        ASSERT_TRUE(file->write());
        EXPECT_EQ(content(), std::to_string(::getpid()) + "\n");
        EXPECT_EQ(files(), 1U);
        struct stat status {};
        ASSERT_EQ(::stat(path_.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777U, 0644U);
    }
    EXPECT_EQ(files(), 0U);
}

TEST_F(PidFileTest, FileOfARunningMachineIsRefused) {
    auto first = PidFile::prepare(path_);
    ASSERT_TRUE(first && first->write());

    const auto second = PidFile::prepare(path_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::Os);
    EXPECT_EQ(second.error().report(),
              "error: --pid-file " + path_ + ": the machine of process " +
                  std::to_string(::getpid()) +
                  " has this file\n"
                  "  help: End that machine first, or name another file.\n");
    EXPECT_EQ(content(), std::to_string(::getpid()) + "\n");
}

TEST_F(PidFileTest, QuickerMachineKeepsItsFile) {
    auto slow = PidFile::prepare(path_);
    auto quick = PidFile::prepare(path_);
    ASSERT_TRUE(slow && quick && quick->write());

    const auto written = slow->write();
    ASSERT_FALSE(written);
    EXPECT_THAT(written.error().report(), HasSubstr("another machine has this file"));
    EXPECT_EQ(files(), 1U);
}

TEST_F(PidFileTest, FileOfAKilledMachineIsReplaced) {
    put("4194304\n");
    auto file = PidFile::prepare(path_);
    ASSERT_TRUE(file) << file.error().report();
    EXPECT_FALSE(std::filesystem::exists(path_))
        << "a reader must not find the old number while the machine starts";
    EXPECT_TRUE(file->write());

    // As a crash in the middle of a write leaves it on another file system.
    ::unlink(path_.c_str());
    put("");
    EXPECT_EQ(refusal(), "prepared");
}

TEST_F(PidFileTest, OtherFilesAreLeftAlone) {
    put("precious");
    EXPECT_EQ(refusal(), "error: --pid-file " + path_ +
                             ": holds something other than a process id\n"
                             "  help: Name a file that does not exist yet: this one is left as it "
                             "is.\n");
    EXPECT_EQ(content(), "precious");

    put(std::string(1000, '7'));
    EXPECT_THAT(refusal(), HasSubstr("something other than a process id"));

    std::filesystem::remove(path_);
    std::filesystem::create_symlink("elsewhere", path_);
    EXPECT_THAT(refusal(), HasSubstr("is a symbolic link"));

    std::filesystem::remove(path_);
    std::filesystem::create_directory(path_);
    EXPECT_THAT(refusal(), HasSubstr("is not a regular file"));
}

TEST_F(PidFileTest, DirectoryThatIsNotThereIsSaidBeforeTheStart) {
    path_ = folder_ / "none" / "web.pid";
    const auto file = PidFile::prepare(path_);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind(), ErrorKind::Config);
    EXPECT_EQ(file.error().report(),
              "error: --pid-file " + path_ +
                  ": create: No such file or directory (errno 2)\n"
                  "  help: Name a file in a directory that exists and that you may write to.\n");
}

TEST_F(PidFileTest, FileThatSomebodyReplacedIsNotRemoved) {
    {
        auto file = PidFile::prepare(path_);
        ASSERT_TRUE(file && file->write());
        ::unlink(path_.c_str());
        put("another's");
    }
    EXPECT_EQ(content(), "another's");
}

// What docs/running.md says about `flock`.
TEST_F(PidFileTest, LockTellsWhetherTheMachineRuns) {
    std::optional<PidFile> file;
    auto prepared = PidFile::prepare(path_);
    ASSERT_TRUE(prepared && prepared->write());
    file.emplace(std::move(*prepared));
    const auto is_free = [&] {
        const UniqueFd other{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
        return ::flock(other.get(), LOCK_EX | LOCK_NB) == 0;
    };
    EXPECT_FALSE(is_free());
    file.reset();
    put("1\n");
    EXPECT_TRUE(is_free());
}

}  // namespace
}  // namespace vmm::cli
