#include "machine/last_output.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <optional>
#include <string>

namespace vmm::machine {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr unsigned kNever = std::numeric_limits<unsigned>::max();

/// All is out after so many turns.
struct FakeBackend final : CharBackend {
    explicit FakeBackend(unsigned turns_needed) : needed{turns_needed} {}

    unsigned needed;
    unsigned turns = 0;
    bool reader = true;

    bool push() noexcept override { return ++turns >= needed; }
    bool has_reader() const noexcept override { return reader; }
    std::size_t write(std::span<const std::byte> bytes) noexcept override { return bytes.size(); }
    void resume_input() noexcept override {}
    void attach(ByteChannelUser&, std::mutex&) noexcept override {}
    void detach() noexcept override {}
    std::uint64_t drain(std::chrono::milliseconds) noexcept override { return 0; }
    const std::string& place() const noexcept override { return nowhere; }
    std::optional<TerminalSize> terminal_size() const noexcept override { return std::nullopt; }

    std::string nowhere;
};

TEST(LastOutputTest, SideThatNobodyReadsTakesNoTimeFromTheOthers) {
    FakeBackend unread{kNever};
    FakeBackend slow{5};
    const auto start = Clock::now();

    let_out(std::array{LastOutput{unread, {}}, LastOutput{slow, {}}}, 50ms);

    EXPECT_GE(slow.turns, 5u);
    EXPECT_GE(Clock::now() - start, 50ms);
}

TEST(LastOutputTest, EndsAsSoonAsAllIsOut) {
    FakeBackend first{2};
    FakeBackend second{4};

    let_out(std::array{LastOutput{first, {}}, LastOutput{second, {}}}, 1h);

    EXPECT_EQ(second.turns, 4u);
}

TEST(LastOutputTest, WhatTheDeviceStillHasIsWaitedFor) {
    FakeBackend backend{1};
    unsigned asked = 0;

    let_out(std::array{LastOutput{backend, [&] { return ++asked < 4; }}}, 1h);

    EXPECT_EQ(asked, 4u);
    EXPECT_EQ(backend.turns, 4u);
}

TEST(LastOutputTest, SideWithoutAReaderIsNotWaitedFor) {
    FakeBackend backend{kNever};
    backend.reader = false;

    let_out(std::array{LastOutput{backend, [] { return true; }}}, 1h);

    EXPECT_EQ(backend.turns, 0u);
}

}  // namespace
}  // namespace vmm::machine
