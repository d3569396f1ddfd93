// SPDX-License-Identifier: Apache-2.0
// Files as the other end of a console, and descriptors that are open already.
#include <sys/resource.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>

#include "backends/char/char_test_support.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;
using test::kBuffer;
using testing::AllOf;
using testing::HasSubstr;

// ---- file

struct FileBackendTest : test::BackendTest {};

TEST_F(FileBackendTest, OutputReplacesTheFile) {
    const std::string path = folder + "/log";
    std::ofstream{path} << "old and longer text";
    make(CharMode::File, path);
    attach();
    send("hello ");
    send("world\n");

    EXPECT_TRUE(turn_until([&] { return test::content(path) == "hello world\n"; }));
    EXPECT_EQ(backend->place(), path);
}

TEST_F(FileBackendTest, MachineThatDoesNotStartLeavesTheFileAsItWas) {
    const std::string path = folder + "/log";
    std::ofstream{path} << "the last run";
    make(CharMode::File, path);
    EXPECT_EQ(test::content(path), "the last run");

    backend.reset();

    EXPECT_EQ(test::content(path), "the last run");
}

TEST_F(FileBackendTest, DrainWritesWhatTheLoopHadNoTimeFor) {
    const std::string path = folder + "/log";
    make(CharMode::File, path);
    send("last words");

    EXPECT_EQ(backend->drain(1s), LostOutput{});
    EXPECT_EQ(test::content(path), "last words");
}

TEST_F(FileBackendTest, FullDiskLosesOutputAndNothingElse) {
    make(CharMode::File, "/dev/full");
    send("lost");
    turn();

    EXPECT_EQ(send("more"), 4u);
    EXPECT_EQ(backend->drain(1s), (LostOutput{.unwritten = 8, .error = ENOSPC}));
}

TEST_F(FileBackendTest, ErrorNamesTheFolderThatIsMissing) {
    EXPECT_THAT(error_of(CharMode::File, folder + "/none/log"),
                AllOf(HasSubstr("open " + folder + "/none/log for the output of serial"),
                      HasSubstr("No such file or directory"),
                      HasSubstr("Name a file that you may create or write.")));
}

TEST_F(FileBackendTest, ErrorOnADirectory) {
    EXPECT_THAT(error_of(CharMode::File, folder), HasSubstr("Is a directory"));
}

TEST_F(FileBackendTest, ErrorIsTheHostsRefusal) {
    auto made = make_char_backend(loop, {.mode = CharMode::File, .path = folder}, events);

    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().kind(), ErrorKind::Os);
}

TEST_F(FileBackendTest, NamedPipeWithoutReaderIsAnErrorWithAdvice) {
    const std::string path = folder + "/fifo";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);

    EXPECT_THAT(error_of(CharMode::File, path),
                HasSubstr("Start the reader of this named pipe first."));
}

TEST_F(FileBackendTest, ErrorOnASocketSaysWhatToNameInstead) {
    const std::string path = folder + "/sock";
    make(CharMode::Socket, path);

    EXPECT_THAT(error_of(CharMode::File, path),
                HasSubstr("This is a socket, which cannot be opened as a file: vmm listens itself, "
                          "on the path of socket=PATH."));
}

TEST_F(FileBackendTest, FileThatIsEmptiedByOthersGrowsFromItsStart) {
    const std::string path = folder + "/log";
    make(CharMode::File, path);
    attach();
    send("before");
    ASSERT_TRUE(turn_until([&] { return test::content(path) == "before"; }));

    ASSERT_EQ(::truncate(path.c_str(), 0), 0);  // logrotate's copytruncate
    send("after");

    EXPECT_TRUE(turn_until([&] { return test::content(path) == "after"; }));
}

TEST_F(FileBackendTest, FileThatMayNotGrowSaysSo) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto old = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{.rlim_cur = 4, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const std::string path = folder + "/log";
    make(CharMode::File, path);
    send("too much");
    const LostOutput lost = backend->drain(1s);
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, old);

    EXPECT_EQ(test::content(path), "too ");
    EXPECT_EQ(lost, (LostOutput{.unwritten = 4, .error = EFBIG}));
}

// ---- a file that is a descriptor

struct DescriptorBackendTest : test::BackendTest {
    /// As a shell leaves it to us: not close-on-exec.
    UniqueFd inherit(const std::string& path, int flags) {
        return UniqueFd{::open(path.c_str(), flags, 0600)};
    }
    static std::string name(const UniqueFd& fd) { return "/dev/fd/" + std::to_string(fd.get()); }
};

TEST_F(DescriptorBackendTest, LogThatSomebodyAppendsToKeepsWhatIsInIt) {
    const std::string path = folder + "/app.log";
    std::ofstream{path} << "app\n";
    const UniqueFd log = inherit(path, O_WRONLY | O_APPEND);
    make(CharMode::File, name(log));
    attach();
    send("guest\n");
    ASSERT_TRUE(turn_until([&] { return test::content(path) == "app\nguest\n"; }));
    std::ofstream{path, std::ios::app} << "app again\n";
    send("guest again\n");

    EXPECT_TRUE(
        turn_until([&] { return test::content(path) == "app\nguest\napp again\nguest again\n"; }));
    EXPECT_EQ(::fcntl(log.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(DescriptorBackendTest, OffsetIsSharedWithWhoeverHasTheDescriptor) {
    const std::string path = folder + "/log";
    const UniqueFd log = inherit(path, O_WRONLY | O_CREAT);
    test::write_text(log.get(), "shell\n");
    make(CharMode::File, "/proc/self/fd/" + std::to_string(log.get()));
    attach();
    send("guest\n");
    EXPECT_EQ(backend->drain(1s), LostOutput{});
    test::write_text(log.get(), "shell\n");

    EXPECT_EQ(test::content(path), "shell\nguest\nshell\n");
}

TEST_F(DescriptorBackendTest, StandardOutputThatIsASocketIsWrittenTo) {
    std::array<int, 2> ends{};  // as a systemd unit has one
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const UniqueFd ours{ends[0]};
    const UniqueFd theirs{ends[1]};
    const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    {
        const test::StandardStreams streams{null.get(), theirs.get()};
        make(CharMode::File, "/dev/stdout");
    }
    send("journal");
    turn();

    EXPECT_EQ(test::read_all(ours.get(), 50ms), "journal");
    EXPECT_EQ(::fcntl(theirs.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(DescriptorBackendTest, LinkToADescriptorIsOne) {
    const std::string path = folder + "/app.log";
    std::ofstream{path} << "app\n";
    const UniqueFd log = inherit(path, O_WRONLY | O_APPEND);
    ASSERT_EQ(::symlink(name(log).c_str(), (folder + "/guest.log").c_str()), 0);
    make(CharMode::File, folder + "/guest.log");
    attach();
    send("guest\n");

    EXPECT_TRUE(turn_until([&] { return test::content(path) == "app\nguest\n"; }));
}

TEST_F(DescriptorBackendTest, ErrorWhenItWasNotOpenAtTheStart) {
    const UniqueFd ours{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    const auto number = std::to_string(ours.get());

    EXPECT_EQ(error_of(CharMode::File, name(ours)),
              "error: open /dev/fd/" + number + " for the output of serial: descriptor " + number +
                  " was not open when vmm was started\n  help: Open it where vmm is "
                  "started (" +
                  number + ">>FILE in a shell), or name a file.\n");
    EXPECT_THAT(error_of(CharMode::File, "/dev/fd/999999"),
                HasSubstr("descriptor 999999 was not open when vmm was started"));
}

TEST_F(DescriptorBackendTest, ErrorWhenItCannotBeWritten) {
    const UniqueFd input = inherit("/dev/null", O_RDONLY);

    EXPECT_THAT(
        error_of(CharMode::File, name(input)),
        AllOf(HasSubstr("descriptor " + std::to_string(input.get()) + " is open for reading only"),
              HasSubstr("Open it for writing where vmm is started, or name a file.")));
}

TEST_F(FileBackendTest, NamedPipeThatNobodyDrainsFillsTheBuffer) {
    const std::string path = folder + "/fifo";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const UniqueFd reader{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    make(CharMode::File, path);
    attach();

    std::size_t taken = 0;
    while (const std::size_t now = send(std::string(1000, 'x'))) {
        taken += now;
        turn(2ms);
    }
    EXPECT_GT(taken, kBuffer);
    EXPECT_LE(taken, 65536 + kBuffer);  // a pipe's room and ours
    EXPECT_EQ(user.rooms, 0u);

    EXPECT_EQ(test::read_all(reader.get(), 50ms).size(), taken - kBuffer);
    EXPECT_TRUE(turn_until([&] { return user.rooms == 1; }));
}

}  // namespace
}  // namespace vmm
