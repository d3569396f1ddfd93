// SPDX-License-Identifier: Apache-2.0
#include "rtc/rtc.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "support/fake_clock.hpp"
#include "support/saved_state.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;

struct RtcTest : testing::Test {
    test::FakeClock clock;
    std::optional<Rtc> device;

    void SetUp() override {
        clock.now = std::chrono::sys_days{2024y / 2 / 29} + 23h + 59min + 58s;  // a Thursday
        device.emplace(clock);
    }
    std::uint64_t in(unsigned index) {
        device->write({.offset = 0, .size = AccessSize::Byte}, index);
        return device->read({.offset = 1, .size = AccessSize::Byte});
    }
    void out(unsigned index, unsigned value) {
        device->write({.offset = 0, .size = AccessSize::Byte}, index);
        device->write({.offset = 1, .size = AccessSize::Byte}, value);
    }
    /// hhmmss as the guest reads them.
    std::uint64_t time() { return in(4) << 16U | in(2) << 8U | in(0); }
    /// ccyymmdd as the guest reads them.
    std::uint64_t date() { return in(0x32) << 24U | in(9) << 16U | in(8) << 8U | in(7); }
};

TEST_F(RtcTest, StatusRegistersAfterPowerOn) {
    EXPECT_EQ(in(0x0a), 0x26u);
    EXPECT_EQ(in(0x0b), 0x02u);
    EXPECT_EQ(in(0x0c), 0x00u);
    EXPECT_EQ(in(0x0d), 0x80u);
}

TEST_F(RtcTest, TimeInBcdAfterPowerOn) {
    EXPECT_EQ(time(), 0x235958u);
    EXPECT_EQ(date(), 0x20240229u);
    EXPECT_EQ(in(6), 5u);
}

TEST_F(RtcTest, TimeInBinary) {
    out(0x0b, 0x06);

    EXPECT_EQ(in(0), 58u);
    EXPECT_EQ(in(2), 59u);
    EXPECT_EQ(in(4), 23u);
    EXPECT_EQ(in(7), 29u);
    EXPECT_EQ(in(8), 2u);
    EXPECT_EQ(in(9), 24u);
    EXPECT_EQ(in(0x32), 20u);
}

TEST_F(RtcTest, LeapDayEndsWithTheNextSecondButOne) {
    clock.advance(2s);

    EXPECT_EQ(time(), 0x000000u);
    EXPECT_EQ(date(), 0x20240301u);
    EXPECT_EQ(in(6), 6u);
}

TEST_F(RtcTest, TwelveHourModeMarksTheAfternoon) {
    out(0x0b, 0x00);
    EXPECT_EQ(in(4), 0x91u);  // 11 PM

    clock.advance(1h);
    EXPECT_EQ(in(4), 0x12u);  // 12 AM
    clock.advance(1h);
    EXPECT_EQ(in(4), 0x01u);
    clock.advance(11h);
    EXPECT_EQ(in(4), 0x92u);  // 12 PM
}

TEST_F(RtcTest, SettingTheHourInTwelveHourMode) {
    out(0x0b, 0x00);

    out(4, 0x12);
    EXPECT_EQ(in(4), 0x12u);
    out(4, 0x83);  // 3 PM
    out(0x0b, 0x02);

    EXPECT_EQ(in(4), 0x15u);
}

TEST_F(RtcTest, SetBitHoldsTheTimeAndLetsItRunAgain) {
    out(0x0b, 0x82);
    clock.advance(10s);
    EXPECT_EQ(time(), 0x235958u);
    out(4, 0x12);
    out(2, 0x34);
    out(0, 0x56);
    out(7, 0x31);
    out(8, 0x12);
    out(9, 0x99);
    out(0x32, 0x19);
    EXPECT_EQ(date(), 0x19991231u);

    out(0x0b, 0x02);
    clock.advance(4s);

    EXPECT_EQ(time(), 0x123500u);
    EXPECT_EQ(date(), 0x19991231u);
    EXPECT_EQ(in(6), 6u);  // a Friday
}

TEST_F(RtcTest, FieldIsSetWhileTheClockRuns) {
    out(2, 0x00);
    clock.advance(1s);

    EXPECT_EQ(time(), 0x230059u);
    EXPECT_EQ(date(), 0x20240229u);
}

TEST_F(RtcTest, DatesThatDoNotExistBecomeTheNearest) {
    out(0x0b, 0x82);
    out(7, 0x31);
    out(8, 0x02);
    out(9, 0x23);
    out(0x0b, 0x02);
    EXPECT_EQ(date(), 0x20230228u);

    out(0x0b, 0x82);
    out(7, 0x00);
    out(8, 0x00);
    out(0x0b, 0x02);

    EXPECT_EQ(date(), 0x20230101u);
}

TEST_F(RtcTest, UpdateInProgressLasts244Microseconds) {
    clock.advance(999'755us);
    EXPECT_EQ(in(0x0a), 0x26u);
    clock.advance(1us);
    EXPECT_EQ(in(0x0a), 0xa6u);
    clock.advance(243us);
    EXPECT_EQ(in(0x0a), 0xa6u);
    clock.advance(1us);
    EXPECT_EQ(in(0x0a), 0x26u);
}

TEST_F(RtcTest, NoUpdateInProgressWhileTheTimeStands) {
    out(0x0b, 0x82);
    clock.advance(999'999us);

    EXPECT_EQ(in(0x0a), 0x26u);
}

TEST_F(RtcTest, StatusAKeepsAllButUpdateInProgress) {
    out(0x0a, 0xff);

    EXPECT_EQ(in(0x0a), 0x7fu);
}

TEST_F(RtcTest, StatusBKeepsAllBits) {
    out(0x0b, 0x7f);
    EXPECT_EQ(in(0x0b), 0x7fu);

    out(0x0b, 0xff);  // SET clears the update-ended interrupt
    EXPECT_EQ(in(0x0b), 0xefu);
}

TEST_F(RtcTest, UpdateEndedRisesEachSecondAndFallsWhenRead) {
    clock.advance(1s);

    EXPECT_EQ(in(0x0c), 0x10u);
    EXPECT_EQ(in(0x0c), 0x00u);
    clock.advance(3s);
    EXPECT_EQ(in(0x0c), 0x10u);
}

TEST_F(RtcTest, InterruptFlagFollowsItsEnable) {
    out(0x0b, 0x12);
    clock.advance(1s);

    EXPECT_EQ(in(0x0c), 0x90u);
}

TEST_F(RtcTest, StatusCAndDIgnoreWrites) {
    out(0x0c, 0xff);
    out(0x0d, 0x00);

    EXPECT_EQ(in(0x0c), 0x00u);
    EXPECT_EQ(in(0x0d), 0x80u);
}

TEST_F(RtcTest, AlarmsAndRamKeepWhatIsWritten) {
    out(1, 0x11);
    out(3, 0x33);
    out(5, 0x55);
    out(0x0e, 0xee);
    out(0x7f, 0x77);

    EXPECT_EQ(in(1), 0x11u);
    EXPECT_EQ(in(3), 0x33u);
    EXPECT_EQ(in(5), 0x55u);
    EXPECT_EQ(in(0x0e), 0xeeu);
    EXPECT_EQ(in(0x7f), 0x77u);
}

TEST_F(RtcTest, NmiBitOfTheIndexIsIgnored) {
    out(0x8f, 0x5a);

    EXPECT_EQ(in(0x0f), 0x5au);
}

TEST_F(RtcTest, IndexPortReadsAllOnes) {
    EXPECT_EQ(device->read({.offset = 0, .size = AccessSize::Byte}), ~std::uint64_t{0});
}

TEST_F(RtcTest, WordAccessReadsAllOnesAndWritesNothing) {
    out(0x20, 0x11);

    device->write({.offset = 1, .size = AccessSize::Word}, 0x2222);
    device->write({.offset = 0, .size = AccessSize::Word}, 0x2221);

    EXPECT_EQ(device->read({.offset = 1, .size = AccessSize::Word}), ~std::uint64_t{0});
    EXPECT_EQ(device->read({.offset = 1, .size = AccessSize::Byte}), 0x11u);
}

TEST_F(RtcTest, OffsetBehindTheRegionReadsAllOnes) {
    device->write({.offset = 2, .size = AccessSize::Byte}, 0x22);

    EXPECT_EQ(device->read({.offset = 2, .size = AccessSize::Byte}), ~std::uint64_t{0});
}

TEST_F(RtcTest, ResetKeepsTimeAndRamAndForgetsTheRest) {
    out(2, 0x10);
    out(0x20, 0x42);
    out(0x0a, 0x70);
    out(0x0b, 0x84);

    device->reset();

    EXPECT_EQ(device->read({.offset = 1, .size = AccessSize::Byte}), 0x58u);  // index 0
    EXPECT_EQ(in(0x0a), 0x26u);
    EXPECT_EQ(in(0x0b), 0x02u);
    EXPECT_EQ(in(0x20), 0x42u);
    EXPECT_EQ(time(), 0x231058u);
}

TEST_F(RtcTest, JumpOfTheHostsClockIsFollowed) {
    clock.now -= std::chrono::hours{24 * 365};

    EXPECT_EQ(date(), 0x20230301u);
}

TEST_F(RtcTest, HostileWritesLeaveADate) {
    std::minstd_rand random{1};  // NOLINT(bugprone-random-generator-seed): the same on every run
    for (int i = 0; i < 100'000; ++i) {
        const auto what = static_cast<unsigned>(random());
        out(what & 0xffU, what >> 8U);
        in((what >> 16U) & 0xffU);
    }

    device->reset();
    out(0x0b, 0x06);

    EXPECT_LT(in(0), 60u);
    EXPECT_LT(in(4), 24u);
    EXPECT_THAT(in(7), testing::AllOf(testing::Ge(1u), testing::Le(31u)));
    EXPECT_THAT(in(8), testing::AllOf(testing::Ge(1u), testing::Le(12u)));
    EXPECT_LT(in(0x32), 100u);
}

TEST_F(RtcTest, StateComesBackAndTheTimeHasGoneOn) {
    out(0x0a, 0x2a);
    out(0x0b, 0x06);  // 24 hours, binary
    out(9, 30);
    out(0x40, 0xa5);
    const auto state = test::saved(*device);
    clock.now += 1h;
    device.emplace(clock);

    EXPECT_EQ(test::restored(*device, state), "");

    EXPECT_EQ(in(0x0a), 0x2au);
    EXPECT_EQ(in(0x0b), 0x06u);
    EXPECT_EQ(in(0x40), 0xa5u);
    EXPECT_EQ(in(9), 30u);
    EXPECT_EQ(in(4), 0u);  // an hour after 23:59:58
    EXPECT_EQ(in(2), 59u);
}

TEST_F(RtcTest, TimeThatStandsStillIsRestoredAsItWas) {
    out(0x0b, 0x82);  // SET
    out(4, 0x11);
    const auto state = test::saved(*device);
    clock.now += 1h;
    device.emplace(clock);

    EXPECT_EQ(test::restored(*device, state), "");

    EXPECT_EQ(time(), 0x115958u);
}

TEST_F(RtcTest, BadStateIsRefusedAsAWhole) {
    EXPECT_EQ(test::half_taken_states(*device), 0u);
    out(0x0b, 0x82);
    EXPECT_EQ(test::half_taken_states(*device), 0u);

    auto state = test::saved(*device);
    state[6] = std::byte{0x80};
    EXPECT_EQ(test::restored(*device, state),
              "the state of the clock is wrong: field 'index' is out of range");
}

// Ten thousand years on either side of today: the calendar must not overflow.
TEST_F(RtcTest, FarthestDistanceIsADate) {
    for (const unsigned byte : {0x00u, 0xffu}) {
        auto state = test::saved(*device);
        std::fill(state.begin() + 9, state.begin() + 13,
                  std::byte{static_cast<unsigned char>(byte)});
        EXPECT_EQ(test::restored(*device, state), "");
        EXPECT_LE(time(), 0x235959u);
        (void)date();
    }
}

}  // namespace
}  // namespace vmm
