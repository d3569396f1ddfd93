// SPDX-License-Identifier: Apache-2.0
// The input half by itself, without a loop: how far it reads ahead, and who hears that it waits.
#include "backends/char/channel_input.hpp"

#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <gtest/gtest.h>

#include <limits>
#include <span>
#include <string>

#include "backends/char/char_test_support.hpp"

namespace vmm {
namespace {

struct ChannelInputTest : testing::Test, ChannelInputOwner {
    EventFd wake = *EventFd::create();
    UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    ChannelInput input{wake, ChannelEvents{epoll.get()}, *this};
    test::RecordingUser user;
    test::Pipe pipe;
    bool readable = true;
    unsigned waits = 0;
    unsigned ends = 0;

    std::size_t filter_input(std::span<std::byte> bytes) noexcept override { return bytes.size(); }
    bool may_read() const noexcept override { return readable; }
    void input_waits() noexcept override { ++waits; }
    void input_ended() noexcept override { ++ends; }

    void start() {
        input.set(HostStream::own(std::move(pipe.in)));
        input.attach(user, user.lock);
    }
    /// Whether the loop would call read() now.
    bool is_due() const {
        epoll_event event{};
        return ::epoll_wait(epoll.get(), &event, 1, 0) == 1;
    }
};

TEST_F(ChannelInputTest, OneBufferIsReadAheadOfAUserThatTakesNothing) {
    const std::string text(ChannelInput::kSize + 100, 'x');
    user.room = 0;
    start();
    test::write_text(pipe.out.get(), text);
    ASSERT_TRUE(is_due());
    input.read();
    EXPECT_EQ(waits, 1U);
    EXPECT_FALSE(is_due());
    EXPECT_FALSE(input.moves());

    user.room = std::numeric_limits<std::size_t>::max();
    input.resume();
    EXPECT_TRUE(wake.drain());
    input.woken();
    EXPECT_EQ(user.seen.size(), ChannelInput::kSize);
    EXPECT_TRUE(input.moves());
    ASSERT_TRUE(is_due());
    input.read();
    EXPECT_EQ(user.seen, text);
}

TEST_F(ChannelInputTest, InputThatMayNotBeReadStaysWithTheHost) {
    readable = false;
    start();
    test::write_text(pipe.out.get(), "later");
    input.read();
    EXPECT_EQ(waits, 1U);
    EXPECT_EQ(user.seen, "");

    readable = true;
    input.wait();
    ASSERT_TRUE(is_due());
    input.read();
    EXPECT_EQ(user.seen, "later");
}

TEST_F(ChannelInputTest, OwnerHearsOfTheEndAfterTheLastByte) {
    start();
    test::write_text(pipe.out.get(), "bye");
    pipe.out = {};
    input.read();
    EXPECT_EQ(user.seen, "bye");
    EXPECT_EQ(ends, 0U);
    input.read();
    EXPECT_EQ(ends, 1U);
}

TEST_F(ChannelInputTest, NothingIsReadAfterDetach) {
    start();
    input.detach();
    test::write_text(pipe.out.get(), "x");
    input.read();

    EXPECT_FALSE(is_due());
    EXPECT_EQ(user.seen, "");
}

}  // namespace
}  // namespace vmm
