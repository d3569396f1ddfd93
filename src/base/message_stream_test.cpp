// SPDX-License-Identifier: Apache-2.0
#include "vmm/message_stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

namespace vmm {
namespace {

using namespace std::chrono_literals;

/// A pipe as a shell's: its flags are not ours to change.
class MessageStreamTest : public testing::Test {
protected:
    MessageStreamTest() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        in_ = UniqueFd{ends[0]};
        out_ = UniqueFd{ends[1]};
        room_ = static_cast<std::size_t>(::fcntl(out_.get(), F_SETPIPE_SZ, 4096));
        ::fcntl(in_.get(), F_SETFL, O_NONBLOCK);
    }
    std::string read(std::size_t most = 1 << 20) const {
        std::string text(most, 0);
        const auto got = ::read(in_.get(), text.data(), text.size());
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }
    MessageStream stream() const { return MessageStream{HostStream::shared_output(out_.get())}; }

    UniqueFd in_;
    UniqueFd out_;
    std::size_t room_ = 0;
};

TEST_F(MessageStreamTest, WritesAtOnceWhereThereIsRoom) {
    auto messages = stream();
    messages.write("a line\n");

    EXPECT_EQ(read(), "a line\n");
    EXPECT_EQ(::fcntl(out_.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(MessageStreamTest, FullPipeDropsWholeMessagesAndSaysHowManyLater) {
    auto messages = stream();
    messages.write(std::string(room_, '.'));
    messages.write("lost\n");
    messages.write("lost\n");
    EXPECT_EQ(read(), std::string(room_, '.'));
    messages.write("heard\n");

    EXPECT_EQ(read(),
              "vmm: 2 messages were lost here, because nobody read them\n"
              "heard\n");
}

TEST_F(MessageStreamTest, MessageThatWasBegunIsFinishedFirst) {
    auto messages = stream();
    const std::string first = std::string(room_, 'a') + "bcd\n";
    messages.write(first);
    messages.write("lost\n");
    EXPECT_EQ(read(), std::string(room_, 'a'));
    messages.finish(0ms);

    EXPECT_EQ(read(), "bcd\nvmm: 1 message was lost here, because nobody read them\n");
}

TEST_F(MessageStreamTest, PatienceEndsWithTheTime) {
    auto messages = stream();
    messages.write(std::string(room_, '.'));
    messages.write("lost\n", 10ms);
    messages.finish(10ms);

    EXPECT_EQ(read().size(), room_);
    EXPECT_EQ(read(), "");
}

TEST_F(MessageStreamTest, ReaderWhoLeftCostsNothing) {
    auto messages = stream();
    const auto before = ::signal(SIGPIPE, SIG_IGN);
    in_ = UniqueFd{};
    messages.write("lost\n", 60s);
    messages.finish(60s);
    ::signal(SIGPIPE, before);
}

TEST_F(MessageStreamTest, SocketThatIsFullIsNotWaitedFor) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const UniqueFd ours{ends[0]};
    const UniqueFd theirs{ends[1]};
    MessageStream messages{HostStream::shared_output(theirs.get())};
    for (int i = 0; i < 10'000; ++i)
        messages.write(std::string(1000, 'x'));
    const int flags = ::fcntl(theirs.get(), F_GETFL);

    EXPECT_EQ(flags & O_NONBLOCK, 0);
}

TEST_F(MessageStreamTest, FullDiskLosesMessagesAndNothingElse) {
    MessageStream messages{HostStream::own(UniqueFd{::open("/dev/full", O_WRONLY | O_CLOEXEC)})};
    messages.write("lost\n", 60s);
    messages.finish(60s);
}

}  // namespace
}  // namespace vmm
