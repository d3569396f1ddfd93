// SPDX-License-Identifier: Apache-2.0
// A pipe that blocks stands for a file system that hangs.
#include "vmm/message_writer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "vmm/message_stream.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream{path}.rdbuf();
    return text.str();
}

class MessageWriterTest : public testing::Test {
protected:
    MessageWriterTest() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        in_ = UniqueFd{ends[0]};
        HostStream out = HostStream::own(UniqueFd{ends[1]});
        room_ = static_cast<std::size_t>(::fcntl(ends[1], F_SETPIPE_SZ, 4096));
        writer_ = MessageWriter::start(out);
    }
    ~MessageWriterTest() override {
        const auto before = std::signal(SIGPIPE, SIG_IGN);
        in_ = UniqueFd{};  // whoever hangs in a write gets out
        writer_->wait(60s);
        writer_.reset();
        std::signal(SIGPIPE, before);
    }
    static std::ptrdiff_t threads() {
        return std::distance(std::filesystem::directory_iterator{"/proc/self/task"}, {});
    }
    /// One that has been joined may still be listed.
    static bool has_threads(std::ptrdiff_t number) {
        for (int i = 0; i < 1000 && threads() != number; ++i)
            ::poll(nullptr, 0, 1);
        return threads() == number;
    }
    /// The file system answers again: everything up to what ends with `last`.
    std::string read_until(std::string_view last) const {
        std::string text;
        std::array<char, 65536> piece{};
        while (!text.ends_with(last)) {
            const auto got = ::read(in_.get(), piece.data(), piece.size());
            if (got <= 0)
                break;
            text.append(piece.data(), static_cast<std::size_t>(got));
        }
        return text;
    }
    /// The thread hangs with this in the file, and no more fits.
    std::string hang() {
        const std::string text = std::string(room_ + 1, 'h') + '\n';
        writer_->add(text);
        pollfd begun{.fd = in_.get(), .events = POLLIN, .revents = 0};
        EXPECT_EQ(::poll(&begun, 1, 60'000), 1);
        return text;
    }

    UniqueFd in_;
    std::size_t room_ = 0;
    std::unique_ptr<MessageWriter> writer_;
};

TEST_F(MessageWriterTest, PausedItHasNoThreadAndLosesNothing) {
    const auto all = threads();
    writer_->add("one\n");
    ASSERT_TRUE(writer_->pause(60s));
    EXPECT_TRUE(has_threads(all - 1));
    writer_->add("two\n");
    EXPECT_FALSE(writer_->wait(60s)) << "nobody writes it";
    EXPECT_TRUE(writer_->pause(0s)) << "it is paused already";
    writer_->resume();
    EXPECT_TRUE(has_threads(all));
    writer_->add("three\n");

    EXPECT_EQ(read_until("three\n"), "one\ntwo\nthree\n");
}

TEST_F(MessageWriterTest, FileSystemThatHangsIsNotPaused) {
    const auto first = hang();
    EXPECT_FALSE(writer_->pause(10ms));
    writer_->add("last\n");

    EXPECT_EQ(read_until("last\n"), first + "last\n");
}

TEST_F(MessageWriterTest, MessagesArriveInOrder) {
    writer_->add("one\n");
    writer_->add("two\n");

    EXPECT_EQ(read_until("two\n"), "one\ntwo\n");
    EXPECT_TRUE(writer_->wait(60s));
}

TEST_F(MessageWriterTest, FileThatHangsHoldsUpNobody) {
    const auto first = hang();
    writer_->add("later\n");

    EXPECT_FALSE(writer_->wait(0ms));
    EXPECT_EQ(read_until("later\n"), first + "later\n");
}

TEST_F(MessageWriterTest, WhatDoesNotFitIsDroppedAndCounted) {
    const auto first = hang();
    const std::string line = std::string(1023, 'x') + '\n';
    constexpr std::size_t kMany = MessageWriter::kMost / 1024 + 10;
    for (std::size_t i = 0; i < kMany; ++i)
        writer_->add(line);
    const std::string note = " lost here, because the file could not be written\n";
    const auto text = read_until(note);
    const auto written =
        static_cast<std::size_t>(std::ranges::count(text, '\n')) - 2;  // `first`, the note

    EXPECT_THAT(text, HasSubstr(cat("vmm: ", kMany - written, " messages were", note)));
    EXPECT_GE(kMany - written, 9U);
    writer_->add("heard\n");
    EXPECT_EQ(read_until("heard\n"), "heard\n");
}

TEST(MessageWriterFileTest, StreamToAFileHasAllThatWasWrittenWhenItIsFinished) {
    const std::string path = testing::TempDir() + "message_writer_test_log";
    ::unlink(path.c_str());
    {
        MessageStream messages{HostStream::own(
            UniqueFd{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)})};
        for (int i = 0; i < 1000; ++i)
            messages.write("a line of the log\n");
        messages.finish(60s);

        EXPECT_EQ(content(path).size(), 18'000U);
    }
    ::unlink(path.c_str());
}

/// In a process of its own: the limit is for good.
void write_past_the_limit(const char* path) {
    std::signal(SIGXFSZ, SIG_IGN);
    UniqueFd fd{::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600)};
    const rlimit few{.rlim_cur = 10, .rlim_max = RLIM_INFINITY};
    const rlimit many{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    HostStream file = HostStream::own(std::move(fd));
    const auto writer = MessageWriter::start(file);
    ::setrlimit(RLIMIT_FSIZE, &few);
    writer->add("first\nsecond\nthird\n");
    writer->wait(60s);
    writer->add("fourth\n");
    writer->wait(60s);
    ::setrlimit(RLIMIT_FSIZE, &many);
    writer->add("fifth\n");
    writer->wait(60s);
    std::_Exit(0);
}

// In a fresh program: threads of earlier tests may still be ending, and after a fork() from several
// threads ThreadSanitizer starts no thread.
TEST(MessageWriterFileTest, LineThatWasBegunIsFinishedAndTheLostAreCounted) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const std::string path = testing::TempDir() + "message_writer_test_limit";
    EXPECT_EXIT(write_past_the_limit(path.c_str()), testing::ExitedWithCode(0), "");

    EXPECT_EQ(content(path),
              "first\nsecond\nvmm: 2 messages were lost here, because the file could not be "
              "written\nfifth\n");
    ::unlink(path.c_str());
}

/// A process that dies of a signal says what it had to say.
TEST(MessageWriterFileTest, LastStepsWaitForWhatWasAdded) {
    const std::string path = testing::TempDir() + "message_writer_test_last";
    UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600)};
    HostStream file = HostStream::own(std::move(fd));
    const auto writer = MessageWriter::start(file);
    writer->add("last words\n");
    LastStep::run_all();

    EXPECT_EQ(content(path), "last words\n");
    writer->wait(60s);
    ::unlink(path.c_str());
}

}  // namespace
}  // namespace vmm
