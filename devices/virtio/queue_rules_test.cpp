// SPDX-License-Identifier: Apache-2.0
// Notifications, order, and what each kind of ring asks of a driver.
#include "virtio/queue_rig.hpp"

namespace vmm::virtio {
namespace {

struct EventIdxTest : testing::TestWithParam<RingCase> {
    Pair pair{GetParam().options(8, true)};
};

INSTANTIATE_TEST_SUITE_P(Kinds, EventIdxTest, testing::ValuesIn(kRingCases), name_of);

TEST_P(EventIdxTest, InterruptComesWhenTheNamedBufferIsUsed) {
    pair.driver.want_interrupt_after(1);
    pair.driver.add({{kData, 8, true}});
    pair.driver.add({{kData, 8, true}});
    pair.driver.add({{kData, 8, true}});

    ASSERT_TRUE(pair.serve());
    EXPECT_EQ(pair.events.interrupts, 0);
    ASSERT_TRUE(pair.serve());
    EXPECT_EQ(pair.events.interrupts, 1);
    ASSERT_TRUE(pair.serve());
    EXPECT_EQ(pair.events.interrupts, 1);
}

TEST_P(EventIdxTest, EachRoundInterruptsOnceForManyLaps) {
    for (int i = 0; i < 70000; ++i) {
        pair.driver.want_interrupt_after(0);
        pair.driver.add({{kData, 8, true}});
        ASSERT_TRUE(pair.serve());
        ASSERT_TRUE(pair.driver.collect());
        ASSERT_EQ(pair.events.interrupts, i + 1);
    }
}

TEST_P(EventIdxTest, BatchThatPassesTheEventInterruptsOnce) {
    pair.driver.want_interrupt_after(1);
    pair.driver.add({{kData, 8, true}});
    pair.driver.add({{kData, 8, true}});
    pair.driver.add({{kData, 8, true}});

    while (pair.queue.pop(pair.chain))
        pair.queue.complete(pair.chain.head(), 0);
    pair.queue.publish();

    EXPECT_EQ(pair.events.interrupts, 1);
}

TEST_P(EventIdxTest, DeviceAsksForOneKickAtATime) {
    ASSERT_FALSE(pair.queue.enable_kicks());
    pair.driver.add({{kData, 8, true}});
    EXPECT_TRUE(pair.driver.kick_wanted());
    pair.driver.add({{kData, 8, true}});
    EXPECT_FALSE(pair.driver.kick_wanted());

    while (pair.serve()) {
    }
    EXPECT_FALSE(pair.queue.enable_kicks());
    pair.driver.add({{kData, 8, true}});

    EXPECT_TRUE(pair.driver.kick_wanted());
}

TEST_P(EventIdxTest, KicksAreAskedForAtEveryPlaceOfTheRing) {
    for (int i = 0; i < 1000; ++i) {
        ASSERT_FALSE(pair.queue.enable_kicks());
        pair.driver.add({{kData, 8, true}, {kData, 8, true}, {kData, 8, true}});
        ASSERT_TRUE(pair.driver.kick_wanted()) << i;
        ASSERT_TRUE(pair.serve());
        ASSERT_TRUE(pair.driver.collect());
    }
}

// IN_ORDER.

struct InOrderTest : testing::TestWithParam<RingCase> {
    Pair pair{GetParam().options(4), f::kInOrder};
};

INSTANTIATE_TEST_SUITE_P(Kinds, InOrderTest, testing::ValuesIn(kRingCases), name_of);

TEST_P(InOrderTest, EarlyCompletionWaitsForThoseBefore) {
    const auto first = pair.driver.add({{kData, 8, true}});
    const auto second = pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.queue.pop(pair.chain));
    const Head head = pair.chain.head();
    ASSERT_TRUE(pair.queue.pop(pair.chain));

    pair.queue.complete(pair.chain.head(), 2);
    pair.queue.publish();
    EXPECT_EQ(pair.driver.collect(), std::nullopt);
    EXPECT_EQ(pair.events.interrupts, 0);
    pair.queue.complete(head, 1);
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{first, 1}));
    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{second, 2}));
}

TEST_P(InOrderTest, FullRingCompletedBackwardsComesOutForwards) {
    std::vector<Head> heads;
    for (int round = 0; round < 3; ++round) {
        heads.clear();
        std::vector<std::uint16_t> ids;
        for (int i = 0; i < 4; ++i)
            ids.push_back(pair.driver.add({{kData, 8, true}}));
        while (pair.queue.pop(pair.chain))
            heads.push_back(pair.chain.head());
        ASSERT_EQ(heads.size(), 4u);

        for (std::size_t i = 4; i-- > 0;)
            pair.queue.complete(heads[i], static_cast<std::uint32_t>(i));
        pair.queue.publish();

        for (std::uint32_t i = 0; i < 4; ++i)
            ASSERT_EQ(pair.driver.collect(), (UsedBuffer{ids[i], i}));
    }
}

TEST_P(InOrderTest, UnpopKeepsTheOrder) {
    pair.driver.add({{kData, 1, true}});
    ASSERT_TRUE(pair.queue.pop(pair.chain));
    pair.queue.unpop(pair.chain.head());

    ASSERT_TRUE(pair.queue.pop(pair.chain));
    pair.queue.complete(pair.chain.head(), 1);
    pair.queue.publish();

    EXPECT_TRUE(pair.driver.collect());
}

// Split only.

struct SplitRingTest : testing::TestWithParam<RingCase> {
    Pair pair{GetParam().options(8)};
};

INSTANTIATE_TEST_SUITE_P(Pieces, SplitRingTest,
                         testing::Values(RingCase{RingKind::Split, false},
                                         RingCase{RingKind::Split, true}),
                         name_of);

TEST_P(SplitRingTest, Row05AvailIndexAheadOfTheSizeNeedsReset) {
    pair.driver.poke_avail_index(9);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_FALSE(pair.queue.enable_kicks());
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_P(SplitRingTest, Row05AvailIndexThatGoesBackNeedsReset) {
    pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve());

    pair.driver.poke_avail_index(0);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_P(SplitRingTest, Row05ChainThatLoopsComesBackWithLengthZero) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kNext, 1});
    pair.driver.poke_descriptor(1, {kData.value(), 1, VirtQueueDriver::kNext, 0});
    pair.driver.offer_head(0);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{0, 0}));
    EXPECT_EQ(pair.events.resets, 0);
}

TEST_P(SplitRingTest, Row05TableThatLoopsComesBackWithLengthZero) {
    const auto id = pair.driver.add_indirect({{kData, 16, false}, {kData, 16, false}}, kTable);
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 16 + 12}, std::uint16_t{1}));
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 16 + 14}, std::uint16_t{0}));

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{id, 0}));
}

TEST_P(SplitRingTest, NextBeyondTheTableComesBackWithLengthZero) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kNext, 8});
    pair.driver.offer_head(0);
    pair.driver.poke_descriptor(1, {kData.value(), 1, VirtQueueDriver::kNext, 0xffff});
    pair.driver.offer_head(1);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{0, 0}));
    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{1, 0}));
}

TEST_P(SplitRingTest, NextBeyondAnIndirectTableComesBackWithLengthZero) {
    const auto id = pair.driver.add_indirect({{kData, 16, false}, {kData, 16, false}}, kTable);
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 14}, std::uint16_t{2}));

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{id, 0}));
}

TEST_P(SplitRingTest, HeadBeyondTheTableNeedsReset) {
    pair.driver.offer_head(8);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_P(SplitRingTest, Row10HeadInFlightNeedsReset) {
    const auto id = pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.queue.pop(pair.chain));
    const Head head = pair.chain.head();

    pair.driver.offer_head(id);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
    pair.queue.complete(head, 8);  // the late completion is harmless
    pair.queue.publish();
    EXPECT_EQ(pair.events.interrupts, 0);
}

TEST_P(SplitRingTest, Row10HeadMayComeAgainOnceItWasGivenBack) {
    const auto id = pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve());

    pair.driver.offer_head(id);

    EXPECT_TRUE(pair.serve());
    EXPECT_EQ(pair.events.resets, 0);
}

TEST_P(SplitRingTest, Row05EndlessMalformedChainsEnd) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kNext, 9});
    for (int i = 0; i < 8; ++i)
        pair.driver.offer_head(0);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_LE(pair.queue.in_flight(), 8u);
    EXPECT_EQ(pair.events.resets, 0);  // a ring full of them is within the rules
}

TEST_P(SplitRingTest, TableWithNextSetIsMalformed) {
    pair.driver.poke_descriptor(
        0, {kTable.value(), 16, VirtQueueDriver::kIndirect | VirtQueueDriver::kNext, 1});
    pair.driver.offer_head(0);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{0, 0}));
}

TEST_P(SplitRingTest, ChainMayEndInATable) {
    ASSERT_TRUE(pair.memory.write(kTable, kData.value()));
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 8}, std::uint32_t{100}));
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 12}, std::uint32_t{2}));
    pair.driver.poke_descriptor(0, {kData.value(), 16, VirtQueueDriver::kNext, 1});
    // "The device MUST ignore the write-only flag in a descriptor that refers to a table."
    pair.driver.poke_descriptor(
        1, {kTable.value(), 16, VirtQueueDriver::kIndirect | VirtQueueDriver::kWrite, 0});
    pair.driver.offer_head(0);

    ASSERT_TRUE(pair.queue.pop(pair.chain));

    EXPECT_EQ(pair.chain.readable_bytes(), 16u);
    EXPECT_EQ(pair.chain.writable_bytes(), 100u);
}

TEST_P(SplitRingTest, Row02SizeThatIsNoPowerOfTwoIsRefused) {
    pair.queue.stop();
    RingConfig config = pair.config();
    config.size = 6;

    EXPECT_FALSE(pair.queue.start(config, pair.features));
}

TEST_P(SplitRingTest, Row08UsedIndexIsOneAlignedStore) {
    EXPECT_EQ((pair.driver.device().value() + 2) % 2, 0u);
    pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve());

    EXPECT_EQ(pair.memory.read<std::uint16_t>(Gpa{pair.driver.device().value() + 2}), 1);
}

// Packed only.

struct PackedRingTest : testing::TestWithParam<RingCase> {
    Pair pair{GetParam().options(8)};
};

INSTANTIATE_TEST_SUITE_P(Pieces, PackedRingTest,
                         testing::Values(RingCase{RingKind::Packed, false},
                                         RingCase{RingKind::Packed, true}),
                         name_of);

TEST_P(PackedRingTest, AnySizeUpToTheMaximumWorks) {
    Pair odd{GetParam().options(5)};
    ASSERT_TRUE(odd.started);
    for (std::uint32_t i = 0; i < 1000; ++i) {
        const auto id = odd.driver.add({{kData, 8, true}, {kData, 8, true}, {kData, 8, true}});
        ASSERT_TRUE(odd.serve(i));
        ASSERT_EQ(odd.driver.collect(), (UsedBuffer{id, i}));
    }
}

TEST_P(PackedRingTest, Row05ChainWithoutEndNeedsReset) {
    pair.driver.offer_endless_chain();

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_P(PackedRingTest, Row10IdInFlightNeedsReset) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kAvail, 5});
    pair.driver.poke_descriptor(1, {kData.value(), 1, VirtQueueDriver::kAvail, 5});
    ASSERT_TRUE(pair.queue.pop(pair.chain));

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_P(PackedRingTest, IdsMayBeLargerThanTheRing) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kAvail, 0xffff});

    ASSERT_TRUE(pair.queue.pop(pair.chain));
    pair.queue.complete(pair.chain.head(), 0);

    EXPECT_EQ(pair.queue.in_flight(), 0u);
    EXPECT_EQ(pair.events.resets, 0);
}

TEST_P(PackedRingTest, Row36MoreDescriptorsInFlightThanPlacesNeedsReset) {
    for (std::uint16_t i = 0; i < 8; ++i)
        pair.driver.poke_descriptor(i, {kData.value(), 1, VirtQueueDriver::kAvail, i});
    for (int i = 0; i < 8; ++i)
        ASSERT_TRUE(pair.queue.pop(pair.chain));

    // The next lap, although nothing was given back.
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kUsed, 100});

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_P(PackedRingTest, TableWithNextSetTakesBothPlacesAndComesBackWithLengthZero) {
    pair.driver.poke_descriptor(1, {kData.value(), 1, VirtQueueDriver::kAvail, 7});
    pair.driver.poke_descriptor(
        0, {kTable.value(), 16,
            static_cast<std::uint16_t>(VirtQueueDriver::kIndirect | VirtQueueDriver::kNext |
                                       VirtQueueDriver::kAvail),
            7});
    pair.driver.skip_places(2);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();
    pair.driver.add({{kData, 8, true}});

    EXPECT_TRUE(pair.serve());
    EXPECT_EQ(pair.events.resets, 0);
}

TEST_P(PackedRingTest, UnwrittenBufferComesBackWithoutTheWriteFlag) {
    pair.driver.add({{kData, 8, false}});
    ASSERT_TRUE(pair.serve(0));

    EXPECT_EQ(pair.memory.read<std::uint16_t>(Gpa{pair.driver.descriptors().value() + 14}), 0x8080);
}

// Two threads, as it is in life. Payload carries a checksum of its id, so that a chain read too
// early or a completion seen too early shows.

}  // namespace
}  // namespace vmm::virtio
