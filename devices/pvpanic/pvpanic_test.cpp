// SPDX-License-Identifier: Apache-2.0
#include "pvpanic/pvpanic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/recording_guest_events.hpp"
#include "support/saved_state.hpp"

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Access kEvents{.offset = 0, .size = AccessSize::Byte};

struct PvPanicTest : testing::Test {
    test::RecordingGuestEvents events;
    PvPanic device{events};
};

TEST_F(PvPanicTest, ReadReportsTheThreeEventsOfTheSpec) {
    EXPECT_EQ(device.read(kEvents), 0b111u);
}

TEST_F(PvPanicTest, WritePanickedBitNotifiesPanicked) {
    device.write(kEvents, 0b001);

    EXPECT_THAT(events.seen, ElementsAre(GuestEvent::Panicked));
}

TEST_F(PvPanicTest, WriteOfTwoBitsNotifiesBothEvents) {
    device.write(kEvents, 0b011);

    EXPECT_THAT(events.seen, ElementsAre(GuestEvent::CrashKernelLoaded, GuestEvent::Panicked));
}

TEST_F(PvPanicTest, WriteOfUnknownBitsIsIgnored) {
    device.write(kEvents, 0b1111'1000);

    EXPECT_THAT(events.seen, IsEmpty());
}

TEST_F(PvPanicTest, WordAccessReadsAllOnesAndWritesNothing) {
    constexpr Access too_wide{.offset = 0, .size = AccessSize::Word};

    device.write(too_wide, 0b001);

    EXPECT_EQ(device.read(too_wide), ~std::uint64_t{0});
    EXPECT_THAT(events.seen, IsEmpty());
}

TEST_F(PvPanicTest, WriteCrashLoadedBitNotifiesIt) {
    device.write(kEvents, 0b010);

    EXPECT_THAT(events.seen, ElementsAre(GuestEvent::CrashKernelLoaded));
}

TEST_F(PvPanicTest, WriteShutDownBitNotifiesIt) {
    device.write(kEvents, 0b100);

    EXPECT_THAT(events.seen, ElementsAre(GuestEvent::ShutDown));
}

TEST_F(PvPanicTest, OtherOffsetReadsAllOnesAndWritesNothing) {
    constexpr Access beyond{.offset = 1, .size = AccessSize::Byte};

    device.write(beyond, 0b001);

    EXPECT_EQ(device.read(beyond), ~std::uint64_t{0});
    EXPECT_THAT(events.seen, IsEmpty());
}

TEST_F(PvPanicTest, EveryByteValueNotifiesAtMostItsThreeBits) {
    for (unsigned value = 0; value < 256; ++value)
        device.write(kEvents, value);

    // Each of the three bits is set in half of the values.
    EXPECT_EQ(events.seen.size(), 3u * 128u);
    EXPECT_EQ(device.read(kEvents), 0b111u);
}

TEST_F(PvPanicTest, StateIsASectionWithoutFields) {
    EXPECT_EQ(test::saved(device).size(), 6u);
    EXPECT_EQ(test::restored(device, test::saved(device)), "");
    EXPECT_EQ(test::half_taken_states(device), 0u);
}

}  // namespace
}  // namespace vmm
