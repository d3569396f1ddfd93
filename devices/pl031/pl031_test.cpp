// SPDX-License-Identifier: Apache-2.0
#include "pl031/pl031.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "support/fake_clock.hpp"
#include "support/saved_state.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kDr = 0x00;
constexpr unsigned kMr = 0x04;
constexpr unsigned kLr = 0x08;
constexpr unsigned kCr = 0x0c;
constexpr unsigned kImsc = 0x10;
constexpr unsigned kRis = 0x14;
constexpr unsigned kMis = 0x18;
constexpr unsigned kIcr = 0x1c;

constexpr std::uint64_t kNothing = ~std::uint64_t{0};
constexpr std::uint32_t kStart = 1'709'251'198;  // 2024-02-29 23:59:58

struct Pl031Test : testing::Test {
    test::FakeClock clock;
    std::optional<Pl031> device;

    void SetUp() override {
        clock.now = std::chrono::sys_seconds{std::chrono::seconds{kStart}} + 700ms;
        device.emplace(clock);
    }
    std::uint64_t in(unsigned at, AccessSize size = AccessSize::Dword) {
        return device->read({.offset = at, .size = size});
    }
    void outl(unsigned at, std::uint32_t value, AccessSize size = AccessSize::Dword) {
        device->write({.offset = at, .size = size}, value);
    }
};

TEST_F(Pl031Test, RegistersAfterPowerOn) {
    EXPECT_EQ(in(kDr), kStart);
    EXPECT_EQ(in(kMr), 0u);
    EXPECT_EQ(in(kLr), 0u);
    EXPECT_EQ(in(kCr), 1u);
    EXPECT_EQ(in(kImsc), 0u);
    EXPECT_EQ(in(kRis), 0u);
    EXPECT_EQ(in(kMis), 0u);
}

TEST_F(Pl031Test, LinuxFindsAPl031) {
    std::uint64_t part = 0;
    std::uint64_t cell = 0;
    for (unsigned i = 0; i < 4; ++i) {
        part |= (in(0xfe0 + 4 * i) & 255u) << 8 * i;
        cell |= (in(0xff0 + 4 * i) & 255u) << 8 * i;
    }

    EXPECT_EQ(cell, 0xb105f00du);
    EXPECT_EQ(part, 0x00041031u);
}

TEST_F(Pl031Test, CountFollowsTheHostsSeconds) {
    clock.advance(299ms);
    EXPECT_EQ(in(kDr), kStart);
    clock.advance(1ms);
    EXPECT_EQ(in(kDr), kStart + 1);
    clock.advance(24h);

    EXPECT_EQ(in(kDr), kStart + 1 + 86'400);
}

TEST_F(Pl031Test, LoadedCountGoesOnFromThere) {
    outl(kLr, 1'000);
    EXPECT_EQ(in(kDr), 1'000u);
    clock.advance(5s);

    EXPECT_EQ(in(kDr), 1'005u);
    EXPECT_EQ(in(kLr), 1'000u);
}

TEST_F(Pl031Test, CountBeginsAnewAfterThirtyTwoBits) {
    clock.now = std::chrono::sys_days{std::chrono::year{2106} / 2 / 7} + 6h + 28min + 15s;
    EXPECT_EQ(in(kDr), 0xffff'ffffu);

    clock.advance(1s);

    EXPECT_EQ(in(kDr), 0u);
}

TEST_F(Pl031Test, HostBeforeNineteenSeventyIsSomeTime) {
    clock.now = std::chrono::sys_seconds{-1s};

    EXPECT_EQ(in(kDr), 0xffff'ffffu);
}

TEST_F(Pl031Test, ClockThatRunsIsNotStopped) {
    outl(kCr, 0);
    clock.advance(1s);

    EXPECT_EQ(in(kCr), 1u);
    EXPECT_EQ(in(kDr), kStart + 1);
}

TEST_F(Pl031Test, MaskKeepsOneBit) {
    outl(kImsc, 0xffff'ffff);
    EXPECT_EQ(in(kImsc), 1u);

    outl(kImsc, 0xffff'fffe);

    EXPECT_EQ(in(kImsc), 0u);
}

TEST_F(Pl031Test, DataAndStatusIgnoreWrites) {
    outl(kDr, 5);
    outl(kRis, 1);
    outl(kMis, 1);

    EXPECT_EQ(in(kDr), kStart);
    EXPECT_EQ(in(kRis), 0u);
}

TEST_F(Pl031Test, MatchIsThereFromItsSecondUntilCleared) {
    outl(kMr, kStart + 2);
    clock.advance(1s);
    EXPECT_EQ(in(kRis), 0u);
    clock.advance(1s);
    EXPECT_EQ(in(kRis), 1u);
    clock.advance(10s);
    EXPECT_EQ(in(kRis), 1u);

    outl(kIcr, 0);
    EXPECT_EQ(in(kRis), 1u);
    outl(kIcr, 1);

    EXPECT_EQ(in(kRis), 0u);
}

TEST_F(Pl031Test, MatchBetweenTwoAccessesIsFoundByTheSecond) {
    outl(kMr, kStart + 2);

    clock.advance(1h);

    EXPECT_EQ(in(kRis), 1u);
}

TEST_F(Pl031Test, MatchThatIsNowIsThereAtOnce) {
    outl(kMr, kStart);

    EXPECT_EQ(in(kRis), 1u);
}

TEST_F(Pl031Test, LoadingTheMatchMatches) {
    outl(kMr, 1'000);
    outl(kLr, 999);
    EXPECT_EQ(in(kRis), 0u);

    outl(kLr, 1'000);

    EXPECT_EQ(in(kRis), 1u);
}

TEST_F(Pl031Test, LoadingACountBehindTheMatchDoesNotMatch) {
    outl(kMr, kStart + 5);

    outl(kLr, kStart + 10);
    clock.advance(1s);

    EXPECT_EQ(in(kRis), 0u);
}

TEST_F(Pl031Test, MatchInThePastWaitsForTheNextRound) {
    outl(kMr, kStart - 1);
    clock.advance(1h);

    EXPECT_EQ(in(kRis), 0u);
}

TEST_F(Pl031Test, MatchIsFoundAcrossTheEndOfTheCount) {
    outl(kLr, 0xffff'fffe);
    outl(kMr, 1);
    clock.advance(2s);
    EXPECT_EQ(in(kRis), 0u);

    clock.advance(1s);

    EXPECT_EQ(in(kRis), 1u);
}

TEST_F(Pl031Test, HostsClockThatJumpsBackOverTheMatchDoesNotMatch) {
    outl(kMr, kStart - 10);
    clock.now -= 1h;

    EXPECT_EQ(in(kRis), 0u);
    clock.advance(1h);
    EXPECT_EQ(in(kRis), 1u);
}

TEST_F(Pl031Test, MaskedMatchIsOnlyInTheRawStatus) {
    outl(kMr, kStart);
    EXPECT_EQ(in(kMis), 0u);

    outl(kImsc, 1);

    EXPECT_EQ(in(kMis), 1u);
}

TEST_F(Pl031Test, RegisterIsReachedWithOneTwoAndFourBytes) {
    outl(kMr, 0x12345678);
    EXPECT_EQ(in(kMr, AccessSize::Word) & 0xffffu, 0x5678u);
    EXPECT_EQ(in(kMr, AccessSize::Byte) & 0xffu, 0x78u);

    outl(kMr, 0x9a, AccessSize::Byte);

    EXPECT_EQ(in(kMr), 0x9au);
}

TEST_F(Pl031Test, UndefinedAccessReadsAllOnesAndWritesNothing) {
    outl(kLr, 5, AccessSize::Qword);
    outl(kLr + 1, 5, AccessSize::Byte);
    outl(0x20, 5);

    EXPECT_EQ(in(kDr, AccessSize::Qword), kNothing);
    EXPECT_EQ(in(kDr + 2, AccessSize::Word), kNothing);
    EXPECT_EQ(in(0x20), kNothing);
    EXPECT_EQ(in(0x80), kNothing);
    EXPECT_EQ(in(0xfdc), kNothing);
    EXPECT_EQ(in(kIcr), kNothing);  // write only
    EXPECT_EQ(in(kDr), kStart);
}

TEST_F(Pl031Test, ResetForgetsTheMatchAndKeepsTheTime) {
    outl(kLr, 1'000);
    outl(kMr, 1'000);
    outl(kImsc, 1);

    device->reset();

    EXPECT_EQ(in(kDr), 1'000u);
    EXPECT_EQ(in(kLr), 0u);
    EXPECT_EQ(in(kMr), 0u);
    EXPECT_EQ(in(kImsc), 0u);
    EXPECT_EQ(in(kRis), 0u);
}

TEST_F(Pl031Test, HostileAccessesLeaveTheClockWorking) {
    std::minstd_rand random{1};  // NOLINT(bugprone-random-generator-seed): the same on every run
    for (int i = 0; i < 100'000; ++i) {
        const auto what = static_cast<std::uint32_t>(random());
        if (what % 2 == 0)
            outl((what >> 4U) % 16 * 4, what * 3);
        else
            in((what >> 4U) % 0x1000);
        clock.advance(std::chrono::seconds{what % 1'000'000} - 500'000s);
    }

    outl(kLr, 7);

    EXPECT_EQ(in(kDr), 7u);
}

TEST_F(Pl031Test, StateComesBackAndTheTimeHasGoneOn) {
    outl(kLr, 1'000);
    outl(kMr, 2'000);
    outl(kImsc, 1);
    const auto state = test::saved(*device);
    clock.now += 5s;
    device.emplace(clock);

    EXPECT_EQ(test::restored(*device, state), "");

    EXPECT_EQ(in(kDr), 1'005u);
    EXPECT_EQ(in(kLr), 1'000u);
    EXPECT_EQ(in(kMr), 2'000u);
    EXPECT_EQ(in(kImsc), 1u);
    EXPECT_EQ(in(kRis), 0u);
}

TEST_F(Pl031Test, MatchWhileNobodyRanIsFound) {
    outl(kMr, kStart + 10);
    const auto state = test::saved(*device);
    clock.now += 1h;
    device.emplace(clock);

    EXPECT_EQ(test::restored(*device, state), "");

    EXPECT_EQ(in(kRis), 1u);
}

TEST_F(Pl031Test, BadStateIsRefusedAsAWhole) {
    outl(kMr, kStart);
    EXPECT_EQ(test::half_taken_states(*device), 0u);

    auto state = test::saved(*device);
    state[6 + 16] = std::byte{2};
    EXPECT_EQ(test::restored(*device, state),
              "the state of the real-time clock is wrong: field 'matched' is out of range");
}

}  // namespace
}  // namespace vmm
