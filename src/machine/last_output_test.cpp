// SPDX-License-Identifier: Apache-2.0
#include "machine/last_output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <limits>
#include <optional>
#include <string>

#include "vmm/mutex.hpp"

namespace vmm::machine {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr unsigned kNever = std::numeric_limits<unsigned>::max();

/// All is out after so many turns.
struct FakeBackend final : CharBackend {
    explicit FakeBackend(unsigned turns_needed) : needed{turns_needed} {}

    unsigned needed;
    unsigned turns = 0;
    bool reader = true;
    LostOutput lost{};

    bool push() noexcept override { return ++turns >= needed; }
    bool has_reader() const noexcept override { return reader; }
    std::size_t write(std::span<const std::byte> bytes) noexcept override { return bytes.size(); }
    void resume_input() noexcept override {}
    void attach(ByteChannelUser&, Mutex&) noexcept override {}
    void detach() noexcept override {}
    void count_lost(std::size_t) noexcept override {}
    LostOutput drain(std::chrono::milliseconds) noexcept override { return lost; }
    const std::string& place() const noexcept override { return nowhere; }
    std::optional<TerminalSize> terminal_size() const noexcept override { return std::nullopt; }

    std::string nowhere;
};

TEST(LastOutputTest, SideThatNobodyReadsTakesNoTimeFromTheOthers) {
    FakeBackend slow{5};
    FakeBackend unread{kNever};
    const auto reader_of_the_other_goes = [&] {
        unread.reader = false;
        return false;
    };

    let_out(std::array{LastOutput{unread, "console", {}},
                       LastOutput{slow, "console", reader_of_the_other_goes}},
            1h);

    EXPECT_GE(slow.turns, 5u);
}

TEST(LastOutputTest, EndsAfterItsTime) {
    FakeBackend unread{kNever};
    const auto start = Steady::now();

    let_out(std::array{LastOutput{unread, "console", {}}}, 50ms);

    EXPECT_GE(Steady::now() - start, 50ms);
}

TEST(LastOutputTest, EndsAsSoonAsAllIsOut) {
    FakeBackend first{2};
    FakeBackend second{4};

    let_out(std::array{LastOutput{first, "console", {}}, LastOutput{second, "console", {}}}, 1h);

    EXPECT_EQ(second.turns, 4u);
}

TEST(LastOutputTest, WhatTheDeviceStillHasIsWaitedFor) {
    FakeBackend backend{1};
    unsigned asked = 0;

    let_out(std::array{LastOutput{backend, "console", [&] { return ++asked < 4; }}}, 1h);

    EXPECT_EQ(asked, 4u);
    EXPECT_EQ(backend.turns, 4u);
}

TEST(LastOutputTest, SideWithoutAReaderIsNotWaitedFor) {
    FakeBackend backend{kNever};
    backend.reader = false;

    let_out(std::array{LastOutput{backend, "console", [] { return true; }}}, 1h);

    EXPECT_EQ(backend.turns, 0u);
}

TEST(LastOutputTest, EachSideSaysWhatItLostAndWhy) {
    FakeBackend unread{0};
    unread.lost = {.unread = 5};
    FakeBackend full{0};
    full.lost = {.unread = 1, .unwritten = 70, .error = ENOSPC};
    FakeBackend closed{0};
    closed.lost = {.unwritten = 9, .error = EPIPE};
    FakeBackend fine{0};

    EXPECT_THAT(
        drop_rest(std::array{LastOutput{unread, "serial port", {}, [] { return 3u; }},
                             LastOutput{full, "console", {}}, LastOutput{closed, "port log", {}},
                             LastOutput{fine, "port agent", {}, [] { return 0u; }}}),
        testing::ElementsAre("8 bytes of output of the serial port were lost: nobody read them",
                             "1 bytes of output of the console were lost: nobody read them",
                             "70 bytes of output of the console were lost: No space left on device",
                             "9 bytes of output of the port log were lost: the reader has gone"));
}

}  // namespace
}  // namespace vmm::machine
