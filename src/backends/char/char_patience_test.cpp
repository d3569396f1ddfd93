// SPDX-License-Identifier: Apache-2.0
// One rule for output that nobody reads, whatever the other end is: a buffer fills, the guest waits
// for a while, then bytes are dropped and counted until somebody reads.
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "backends/char/char_test_support.hpp"
#include "support/captured_log.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;
using test::kBuffer;
using Clock = std::chrono::steady_clock;
using testing::HasSubstr;

/// What the readers hold on to.
struct Held {
    std::unique_ptr<test::Pipe> output;
    std::unique_ptr<test::Pipe> input;
    UniqueFd reader;
};

struct PatienceTest : test::BackendTest, testing::WithParamInterface<CharMode> {
    Held held;

    std::string path() const { return folder + "/x"; }

    /// The other end is there, and nobody reads from it.
    void open(std::chrono::milliseconds wait) {
        patience = wait;
        switch (GetParam()) {
            case CharMode::Tty:
                held.output = std::make_unique<test::Pipe>();
                held.input = std::make_unique<test::Pipe>();
                make_tty(held.input->in.get(), held.output->out.get());
                break;
            case CharMode::File:
                ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
                held.reader = UniqueFd{::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
                make(CharMode::File, path());
                break;
            case CharMode::Pty:
                make(CharMode::Pty);
                held.reader =
                    UniqueFd{::open(backend->place().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)};
                break;
            default:
                make(CharMode::Socket, path());
                held.reader = test::connect_to(path());
        }
        attach();
        turn();
    }
    int reader() const { return held.output ? held.output->in.get() : held.reader.get(); }

    /// Writes until no more is taken, then waits for what the guest is told.
    std::size_t fill_and_wait() {
        const std::size_t taken = fill();
        EXPECT_TRUE(turn_until([&] { return user.rooms == 1; }));
        return taken;
    }
    /// All that the reader finds while the loop turns, until it has `enough`.
    std::string read(std::size_t enough) {
        std::string seen;
        turn_until([&] {
            seen += test::read_all(reader(), 1ms);
            return seen.size() >= enough;
        });
        return seen;
    }
};

TEST_P(PatienceTest, GuestWaitsOnceThenWhatItSaysIsDroppedAndCounted) {
    open(300ms);
    const auto start = Clock::now();
    const std::size_t taken = fill_and_wait();
    EXPECT_GE(Clock::now() - start, 300ms);
    EXPECT_GE(taken, kBuffer);

    // As much as it likes, and it is not held up again.
    for (int i = 0; i < 1000; ++i)
        ASSERT_EQ(send(std::string(1000, 'y')), 1000u);
    EXPECT_EQ(user.rooms, 1u);
    EXPECT_LE(turns(50ms), 10u);

    // What is in a pty goes with it.
    const std::size_t buffered = GetParam() == CharMode::Pty ? taken : kBuffer;
    EXPECT_EQ(unread(), 1'000'000u + buffered);
}

TEST_P(PatienceTest, ReaderThatComesBackGetsTheOldestAndThenWhatIsNew) {
    open(50ms);
    const std::size_t taken = fill_and_wait();
    ASSERT_EQ(send("dropped"), 7u);

    const test::CapturedLog log;
    EXPECT_EQ(read(taken), std::string(taken, 'x'));
    EXPECT_THAT(log.text(),
                HasSubstr("serial: 7 bytes of output were dropped while nobody read them"));
    EXPECT_EQ(send("news"), 4u);
    EXPECT_EQ(read(4), "news");
    // Said once: not again at the end.
    EXPECT_EQ(backend->drain(1s), LostOutput{});
}

TEST_P(PatienceTest, ReaderThatComesAndGoesIsToldOfOnce) {
    open(50ms);
    std::size_t taken = fill_and_wait();
    ASSERT_EQ(send("first"), 5u);
    EXPECT_EQ(read(taken).size(), taken);
    user.rooms = 0;
    taken = fill_and_wait();
    ASSERT_EQ(send("second"), 6u);

    const test::CapturedLog log;
    EXPECT_EQ(read(taken).size(), taken);
    EXPECT_EQ(log.text(), "");
    EXPECT_EQ(unread(), 6u);
}

TEST_P(PatienceTest, WhatTheDeviceLostIsCountedWithTheRest) {
    open(1h);
    backend->count_lost(3);

    EXPECT_EQ(unread(), 3u);
}

std::string mode_name(const testing::TestParamInfo<CharMode>& of) {
    constexpr std::array kNames{"Tty", "File", "Pty", "Socket"};
    return kNames.at(static_cast<std::size_t>(of.param));
}

INSTANTIATE_TEST_SUITE_P(Consoles, PatienceTest,
                         testing::Values(CharMode::Tty, CharMode::File, CharMode::Pty,
                                         CharMode::Socket),
                         mode_name);

struct NobodyConnectedTest : test::BackendTest {
    std::string path() const { return folder + "/sock"; }
};

TEST_F(NobodyConnectedTest, OutputIsDroppedUntilTheFirstClientComes) {
    patience = 50ms;
    make(CharMode::Socket, path());
    attach();
    ASSERT_EQ(send(std::string(kBuffer, 'x') + "more"), kBuffer);
    ASSERT_TRUE(turn_until([&] { return user.rooms == 1; }));
    ASSERT_EQ(send("dropped"), 7u);

    const UniqueFd client = test::connect_to(path());
    std::string seen;
    turn_until([&] {
        seen += test::read_all(client.get(), 1ms);
        return seen.size() >= kBuffer;
    });
    send("; now");
    turn();

    EXPECT_EQ(seen + test::read_all(client.get(), 50ms), std::string(kBuffer, 'x') + "; now");
}

TEST_F(NobodyConnectedTest, ClientAfterAStuckOneEndsTheDropping) {
    patience = 50ms;
    make(CharMode::Socket, path());
    attach();
    const UniqueFd stuck = test::connect_to(path());
    turn();
    fill();
    ASSERT_TRUE(turn_until([&] { return user.rooms == 1; }));
    ASSERT_EQ(send("dropped"), 7u);

    const UniqueFd next = test::connect_to(path());
    std::string seen;
    turn_until([&] {
        seen += test::read_all(next.get(), 1ms);
        return seen.size() >= kBuffer;
    });
    send("; now");
    turn();

    EXPECT_EQ(seen + test::read_all(next.get(), 50ms), std::string(kBuffer, 'x') + "; now");
}

}  // namespace
}  // namespace vmm
