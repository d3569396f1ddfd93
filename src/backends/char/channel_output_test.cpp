// SPDX-License-Identifier: Apache-2.0
// The output half by itself, without a loop: what wakes one, and who keeps which bytes.
#include "backends/char/channel_output.hpp"

#include <sys/epoll.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <span>
#include <string>
#include <string_view>

#include "backends/char/char_test_support.hpp"
#include "backends/char/one_shot_timer.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct ChannelOutputTest : testing::Test, ChannelOutputOwner {
    EventFd wake = *EventFd::create();
    UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    ChannelOutput output{{.name = "test", .place = {}}, ChannelOutput::Mode::Buffered, 1h,   wake,
                         *make_one_shot_timer(),        ChannelEvents{epoll.get()},    *this};
    int ended = 0;           // errno
    std::size_t unread = 0;  // what take_back_unread() finds

    void SetUp() override { ::signal(SIGPIPE, SIG_IGN); }
    void output_ended(int error) noexcept override { ended = error; }
    std::size_t take_back_unread() noexcept override { return unread; }

    std::size_t write(std::string_view text) {
        return output.write(std::as_bytes(std::span{text}));
    }
};

TEST_F(ChannelOutputTest, LoopThatCollectsIsWokenAgainOnceTheBufferIsHalfFull) {
    constexpr std::size_t kHalf = CharBackend::kBufferSize / 2;
    EXPECT_EQ(write("x"), 1U);
    EXPECT_TRUE(wake.drain());

    EXPECT_EQ(write(std::string(kHalf - 1, 'x')), kHalf - 1);
    EXPECT_FALSE(wake.drain());
    EXPECT_EQ(write("x"), 1U);
    EXPECT_TRUE(wake.drain());
    EXPECT_EQ(write("x"), 1U);
    EXPECT_FALSE(wake.drain());
}

TEST_F(ChannelOutputTest, WhatAnEndThatLeftDidNotTakeGoesToTheNextOne) {
    {
        test::Pipe left;
        output.set(HostStream::own(std::move(left.out)));
    }
    EXPECT_EQ(write("late"), 4U);
    output.flush();
    EXPECT_EQ(ended, EPIPE);
    EXPECT_FALSE(output.drained());

    output.set({});
    EXPECT_FALSE(output.has_reader());
    test::Pipe next;
    output.set(HostStream::own(std::move(next.out)));
    EXPECT_TRUE(output.drained());
    EXPECT_EQ(test::read_all(next.in.get(), 1s, 4), "late");
}

TEST_F(ChannelOutputTest, WhatIsHereAtTheEndIsCountedWithWhatTheOwnerTakesBack) {
    EXPECT_EQ(write("here"), 4U);
    unread = 2;

    EXPECT_EQ(output.give_up(), (LostOutput{.unread = 6}));
    EXPECT_TRUE(output.drained());
}

TEST_F(ChannelOutputTest, LostOutputIsTakenAndCountedUnderItsError) {
    EXPECT_EQ(write("early"), 5U);
    output.lose(EIO);
    EXPECT_EQ(write("late"), 4U);
    output.count_lost(1);

    EXPECT_TRUE(output.has_reader());
    EXPECT_EQ(output.give_up(), (LostOutput{.unwritten = 10, .error = EIO}));
}

}  // namespace
}  // namespace vmm
