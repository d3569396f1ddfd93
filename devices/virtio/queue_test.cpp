// SPDX-License-Identifier: Apache-2.0
#include "virtio/queue.hpp"

#include "virtio/queue_rig.hpp"

namespace vmm::virtio {
namespace {

INSTANTIATE_TEST_SUITE_P(Kinds, QueueTest, testing::ValuesIn(kRingCases), name_of);

TEST_P(QueueTest, EmptyRingGivesNothing) {
    ASSERT_TRUE(pair.started);
    EXPECT_FALSE(queue.pop(chain));
    EXPECT_EQ(events.resets, 0);
}

TEST_P(QueueTest, ChainHasItsSegmentsInOrder) {
    driver.add({{kData, 16, false}, {Gpa{0x41000}, 512, true}, {Gpa{0x42000}, 1, true}});

    ASSERT_TRUE(queue.pop(chain));

    ASSERT_EQ(chain.readable().size(), 1u);
    EXPECT_EQ(chain.readable()[0].at, kData);
    EXPECT_EQ(chain.readable_bytes(), 16u);
    ASSERT_EQ(chain.writable().size(), 2u);
    EXPECT_EQ(chain.writable()[1].at, Gpa{0x42000});
    EXPECT_EQ(chain.writable_bytes(), 513u);
}

TEST_P(QueueTest, CompletedChainComesBackWithItsLength) {
    const auto id = driver.add({{kData, 64, true}});
    ASSERT_TRUE(queue.pop(chain));

    queue.complete(chain.head(), 33);
    queue.publish();

    EXPECT_EQ(driver.collect(), (UsedBuffer{id, 33}));
    EXPECT_EQ(driver.collect(), std::nullopt);
    EXPECT_EQ(events.interrupts, 1);
}

TEST_P(QueueTest, DriverSeesNothingOfABatchUntilItIsPublished) {
    driver.add({{kData, 64, true}});
    driver.add({{kData, 64, true}});
    for (int i = 0; i < 2; ++i) {
        ASSERT_TRUE(queue.pop(chain));
        queue.complete(chain.head(), 64);
    }
    EXPECT_FALSE(driver.collect().has_value());

    queue.publish();

    EXPECT_TRUE(driver.collect().has_value());
    EXPECT_TRUE(driver.collect().has_value());
}

TEST_P(QueueTest, IndirectTableIsOneChain) {
    const auto id = driver.add_indirect(
        {{kData, 16, false}, {Gpa{0x41000}, 4096, true}, {Gpa{0x42000}, 1, true}}, kTable);

    ASSERT_TRUE(queue.pop(chain));
    queue.complete(chain.head(), 4097);
    queue.publish();

    EXPECT_EQ(chain.readable_bytes(), 16u);
    EXPECT_EQ(chain.writable_bytes(), 4097u);
    EXPECT_EQ(driver.collect(), (UsedBuffer{id, 4097}));
}

TEST_P(QueueTest, ChainsCompleteInAnyOrder) {
    const auto first = driver.add({{kData, 8, true}, {Gpa{0x41000}, 8, true}});
    const auto second = driver.add({{Gpa{0x42000}, 8, true}});
    ASSERT_TRUE(queue.pop(chain));
    const Head first_head = chain.head();
    ASSERT_TRUE(queue.pop(chain));

    queue.complete(chain.head(), 2);
    queue.complete(first_head, 1);
    queue.publish();

    EXPECT_EQ(driver.collect(), (UsedBuffer{second, 2}));
    EXPECT_EQ(driver.collect(), (UsedBuffer{first, 1}));
    EXPECT_EQ(events.interrupts, 1);
}

TEST_P(QueueTest, RunsRoundTheRingManyTimes) {
    for (std::uint32_t i = 0; i < 70000; ++i) {
        const auto id = driver.add({{kData, 8, false}, {Gpa{0x41000}, 8, true}});
        ASSERT_TRUE(pair.serve(i));
        ASSERT_EQ(driver.collect(), (UsedBuffer{id, i})) << "round " << i;
    }
    EXPECT_FALSE(queue.pop(chain));
    EXPECT_EQ(queue.in_flight(), 0u);
}

TEST_P(QueueTest, FullRingIsServedWhole) {
    for (int i = 0; i < 8; ++i)
        driver.add({{kData, 8, true}});

    int served = 0;
    while (pair.serve())
        ++served;

    EXPECT_EQ(served, 8);
    EXPECT_EQ(events.resets, 0);
}

TEST_P(QueueTest, UnpoppedChainsComeAgainInOrder) {
    driver.add({{kData, 1, true}, {kData, 1, true}});
    driver.add({{kData, 2, true}});
    ASSERT_TRUE(queue.pop(chain));
    const Head first = chain.head();
    ASSERT_TRUE(queue.pop(chain));

    queue.unpop(chain.head());
    queue.unpop(first);

    EXPECT_EQ(queue.in_flight(), 0u);
    ASSERT_TRUE(queue.pop(chain));
    EXPECT_EQ(chain.writable().size(), 2u);
    ASSERT_TRUE(queue.pop(chain));
    EXPECT_EQ(chain.writable_bytes(), 2u);
    EXPECT_FALSE(queue.pop(chain));
}

TEST_P(QueueTest, UnpopWorksAcrossTheEndOfTheRing) {
    for (int i = 0; i < 7; ++i) {
        driver.add({{kData, 1, true}});
        ASSERT_TRUE(pair.serve());
        ASSERT_TRUE(driver.collect());
    }
    driver.add({{kData, 1, true}, {kData, 1, true}, {kData, 1, true}});
    ASSERT_TRUE(queue.pop(chain));

    queue.unpop(chain.head());

    ASSERT_TRUE(queue.pop(chain));
    EXPECT_EQ(chain.writable().size(), 3u);
    queue.complete(chain.head(), 3);
    queue.publish();
    EXPECT_TRUE(driver.collect());
    driver.add({{kData, 1, true}});
    EXPECT_TRUE(pair.serve());
}

TEST_P(QueueTest, NoInterruptWhenTheDriverWantsNone) {
    driver.want_interrupts(false);
    driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve());
    EXPECT_EQ(events.interrupts, 0);

    driver.want_interrupts(true);
    driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve());

    EXPECT_EQ(events.interrupts, 1);
}

TEST_P(QueueTest, NothingCompletedMeansNoInterrupt) {
    queue.publish();

    EXPECT_EQ(events.interrupts, 0);
}

TEST_P(QueueTest, KicksCanBeTurnedOffAndOn) {
    queue.disable_kicks();
    driver.add({{kData, 8, true}});
    EXPECT_FALSE(driver.kick_wanted());

    EXPECT_TRUE(queue.enable_kicks());  // one has come in the meantime
    ASSERT_TRUE(pair.serve());
    EXPECT_FALSE(queue.enable_kicks());
    driver.add({{kData, 8, true}});

    EXPECT_TRUE(driver.kick_wanted());
}

TEST_P(QueueTest, ZeroLengthDescriptorsAreLeftOut) {
    driver.add({{kData, 0, false}, {kData, 4, false}, {kData, 0, true}});

    ASSERT_TRUE(queue.pop(chain));

    EXPECT_EQ(chain.readable().size(), 1u);
    EXPECT_EQ(chain.writable().size(), 0u);
}

TEST_P(QueueTest, StopsAfterItFailedAndStartsAnewAfterReset) {
    driver.add({{kData, 8, true}});
    queue.fail();
    queue.fail();
    EXPECT_FALSE(queue.pop(chain));
    EXPECT_FALSE(queue.enable_kicks());
    EXPECT_EQ(events.resets, 1);

    queue.stop();
    ASSERT_TRUE(queue.start(pair.config(), pair.features));

    EXPECT_TRUE(queue.pop(chain));
}

// Named after the rows of the list of what went wrong elsewhere.

TEST_P(QueueTest, Row01RingsOutsideOfRamAreRefused) {
    RingConfig config = pair.config();
    queue.stop();
    config.descriptors = Gpa{kRam - 64};
    EXPECT_FALSE(queue.start(config, pair.features));
    config = pair.config();
    config.driver = Gpa{~std::uint64_t{0} - 3};
    EXPECT_FALSE(queue.start(config, pair.features));
    config = pair.config();
    config.device = Gpa{kRam};
    EXPECT_FALSE(queue.start(config, pair.features));
    EXPECT_FALSE(queue.enabled());
    EXPECT_FALSE(queue.pop(chain));
}

TEST_P(QueueTest, Row01MisalignedRingsAreRefused) {
    queue.stop();
    RingConfig config = pair.config();
    config.descriptors = Gpa{config.descriptors.value() + 8};
    EXPECT_FALSE(queue.start(config, pair.features));
    config = pair.config();
    config.driver = Gpa{config.driver.value() + 1};
    EXPECT_FALSE(queue.start(config, pair.features));
    config = pair.config();
    config.device = Gpa{config.device.value() + 2};
    EXPECT_FALSE(queue.start(config, pair.features));
}

TEST_P(QueueTest, Row02SizesThatCannotBeAreRefused) {
    queue.stop();
    RingConfig config = pair.config();
    config.size = 0;
    EXPECT_FALSE(queue.start(config, pair.features));
    config.size = 128;  // the device has 64 at most
    EXPECT_FALSE(queue.start(config, pair.features));
}

TEST_P(QueueTest, Row06ChainOfMoreThan4GiBComesBackWithLengthZero) {
    const auto id = driver.add({{kData, 0xffff'ffff, true}, {kData, 0xffff'ffff, true}});

    EXPECT_FALSE(queue.pop(chain));
    queue.publish();

    EXPECT_EQ(driver.collect(), (UsedBuffer{id, 0}));
    EXPECT_EQ(events.resets, 0);
}

TEST_P(QueueTest, Row06Exactly4GiBIsAllowed) {
    driver.add({{kData, 0x8000'0000, true}, {kData, 0x8000'0000, true}});

    ASSERT_TRUE(queue.pop(chain));

    EXPECT_EQ(chain.writable_bytes(), 0x1'0000'0000u);
}

TEST_P(QueueTest, Row07SegmentsAtTheEndOfRamAndBeyond) {
    const auto good = driver.add({{Gpa{kRam - 8}, 8, true}});
    ASSERT_TRUE(queue.pop(chain));
    Cursor cursor = chain.writer();
    EXPECT_TRUE(cursor.write(pair.memory, std::uint64_t{1}));
    queue.complete(chain.head(), 8);
    queue.publish();
    EXPECT_EQ(driver.collect(), (UsedBuffer{good, 8}));

    driver.add({{Gpa{kRam - 7}, 8, true}});
    ASSERT_TRUE(queue.pop(chain));
    cursor = chain.writer();
    EXPECT_FALSE(cursor.write(pair.memory, std::uint64_t{1}));
    queue.complete(chain.head(), 0);

    driver.add({{Gpa{~std::uint64_t{0} - 3}, 8, true}});
    ASSERT_TRUE(queue.pop(chain));
    cursor = chain.writer();
    EXPECT_FALSE(cursor.write(pair.memory, std::uint64_t{1}));
}

TEST_P(QueueTest, Row11ReadableAfterWritableComesBackWithLengthZeroAndTheNextIsServed) {
    const auto bad = driver.add({{kData, 8, true}, {kData, 8, false}});
    const auto good = driver.add({{kData, 8, true}});

    EXPECT_TRUE(pair.serve(5));

    EXPECT_EQ(driver.collect(), (UsedBuffer{bad, 0}));
    EXPECT_EQ(driver.collect(), (UsedBuffer{good, 5}));
    EXPECT_EQ(events.resets, 0);
}

TEST_P(QueueTest, Row11MalformedChainIsTheDriversAgainBeforeTheNextIsServed) {
    const auto bad = driver.add({{kData, 8, true}, {kData, 8, false}});
    driver.add({{kData, 8, true}});

    ASSERT_TRUE(queue.pop(chain));

    EXPECT_EQ(driver.collect(), (UsedBuffer{bad, 0}));
    EXPECT_EQ(events.interrupts, 1);
}

TEST_P(QueueTest, Row11MalformedChainAloneComesBackWithoutMoreFromTheDevice) {
    const auto bad = driver.add({{kData, 8, true}, {kData, 8, false}});

    EXPECT_FALSE(queue.pop(chain));

    EXPECT_EQ(driver.collect(), (UsedBuffer{bad, 0}));
    EXPECT_EQ(events.interrupts, 1);
}

struct BadTable {
    const char* name;
    Gpa at;
    std::uint32_t length;
};

TEST_P(QueueTest, Row11BadIndirectTablesComeBackWithLengthZero) {
    const BadTable tables[] = {{"empty", kTable, 0},
                               {"half a descriptor", kTable, 24},
                               {"not RAM", Gpa{0x4000'0000}, 16},
                               {"over the end of RAM", Gpa{kRam - 16}, 32},
                               {"wraps", Gpa{~std::uint64_t{0} - 15}, 32},
                               {"huge", Gpa{0}, 0xffff'fff0}};
    for (const BadTable& table : tables) {
        const auto id = driver.add_table(table.at, table.length);

        EXPECT_FALSE(queue.pop(chain)) << table.name;
        queue.publish();

        EXPECT_EQ(driver.collect(), (UsedBuffer{id, 0})) << table.name;
    }
    EXPECT_EQ(events.resets, 0);
}

TEST_P(QueueTest, Row11TableInATableComesBackWithLengthZero) {
    const auto id = driver.add_indirect({{kData, 16, false}}, kTable);
    // Flags are at 12 in a split descriptor, at 14 in a packed one.
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 12}, std::uint16_t{4}));
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 14}, std::uint16_t{4}));

    EXPECT_FALSE(queue.pop(chain));
    queue.publish();

    EXPECT_EQ(driver.collect(), (UsedBuffer{id, 0}));
}

TEST_P(QueueTest, Row11TableLongerThanAnyChainComesBackWithLengthZero) {
    std::vector<Buffer> many(1025, Buffer{kData, 1, true});
    const auto id = driver.add_indirect(many, kTable);

    EXPECT_FALSE(queue.pop(chain));
    queue.publish();

    EXPECT_EQ(driver.collect(), (UsedBuffer{id, 0}));
}

TEST_P(QueueTest, IndirectTableWithoutTheFeatureComesBackWithLengthZero) {
    Pair plain{GetParam().options(8)};
    plain.queue.stop();
    ASSERT_TRUE(plain.queue.start(plain.config(), plain.features & ~f::kIndirectDescriptors));
    const auto id = plain.driver.add_indirect({{kData, 16, false}}, kTable);

    EXPECT_FALSE(plain.queue.pop(plain.chain));
    plain.queue.publish();

    EXPECT_EQ(plain.driver.collect(), (UsedBuffer{id, 0}));
}

TEST_P(QueueTest, Row36NoMoreInFlightThanTheRingHolds) {
    for (int i = 0; i < 8; ++i)
        driver.add({{kData, 8, true}});
    for (int i = 0; i < 8; ++i)
        ASSERT_TRUE(queue.pop(chain));

    EXPECT_EQ(queue.in_flight(), 8u);
    EXPECT_FALSE(queue.pop(chain));
    EXPECT_EQ(queue.in_flight(), 8u);
}

// EVENT_IDX, both kinds.

struct QueueThreadsTest : testing::TestWithParam<std::tuple<RingCase, bool>> {};

INSTANTIATE_TEST_SUITE_P(Kinds, QueueThreadsTest,
                         testing::Combine(testing::ValuesIn(kRingCases), testing::Bool()));

TEST_P(QueueThreadsTest, Row08PayloadIsWholeOnBothSides) {
    const auto [ring, event_idx] = GetParam();
    Pair pair{ring.options(16, event_idx)};
    constexpr std::uint64_t kRounds = 5000;
    std::thread device{[&] {
        std::uint64_t served = 0;
        while (served < kRounds) {
            while (pair.queue.pop(pair.chain)) {
                Cursor reader = pair.chain.reader();
                Cursor writer = pair.chain.writer();
                const auto value = reader.read<std::uint64_t>(pair.queue_memory);
                if (!value || !writer.write(pair.queue_memory, ~*value))
                    std::abort();
                pair.queue.complete(pair.chain.head(), 8);
                ++served;
            }
            pair.queue.publish();
            std::this_thread::yield();
        }
    }};
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < kRounds; ++i) {
        ASSERT_TRUE(pair.memory.write(kData, i));
        pair.driver.add({{kData, 8, false}, {Gpa{kData.value() + 64}, 8, true}});
        while (!pair.driver.collect())
            std::this_thread::yield();
        wrong += pair.memory.read<std::uint64_t>(Gpa{kData.value() + 64}) == ~i ? 0 : 1;
    }
    device.join();

    EXPECT_EQ(wrong, 0u);
}

// A driver on another vCPU that scribbles over the rings while the device reads them.

struct QueueScribbleTest : testing::TestWithParam<RingCase> {};

INSTANTIATE_TEST_SUITE_P(Kinds, QueueScribbleTest, testing::ValuesIn(kRingCases), name_of);

TEST_P(QueueScribbleTest, Row14RingsThatChangeUnderneathAreHarmless) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the guest's half of this race is the point of it";
#endif
    Pair pair{GetParam().options(8)};
    for (std::uint16_t head = 0; head < 8; ++head)
        if (GetParam().kind == RingKind::Split)
            pair.driver.offer_head(head);
    const std::uint64_t descriptors = pair.driver.descriptors() - kRings;
    std::atomic<bool> stop{false};
    std::thread guest{[&] {
        std::uint64_t random = 88172645463325252u;
        while (!stop) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            const std::size_t at = random % 0x80 / 8 * 8;
            pair.driver.raw().store<std::uint64_t>(descriptors + at,
                                                   random & 0x8087'0007'0000'ffff);
        }
    }};
    std::uint64_t popped = 0;
    for (int round = 0; round < 2000; ++round) {
        if (GetParam().kind == RingKind::Split)
            pair.driver.poke_avail_index(8);
        pair.driver.poke_descriptor(0, {kData.value(), 8, VirtQueueDriver::kAvail, 0});
        std::vector<Head> heads;
        while (pair.queue.pop(pair.chain)) {
            heads.push_back(pair.chain.head());
            Cursor writer = pair.chain.writer();
            (void)writer.write(pair.memory, std::uint8_t{1});
        }
        popped += heads.size();
        EXPECT_LE(heads.size(), 8u);
        for (const Head head : heads)
            pair.queue.complete(head, 1);
        pair.queue.publish();
        pair.queue.stop();
        ASSERT_TRUE(pair.queue.start(pair.config(), pair.features));
        std::this_thread::yield();
    }
    stop = true;
    guest.join();

    EXPECT_GT(popped, 0u);
}

// Another back end, or a machine that was saved, goes on where this one stopped.
TEST_P(QueueTest, QueueGoesOnWhereAnotherLeftOff) {
    Queue other{3, 64, *EventFd::create(), pair.queue_memory, events};
    std::array<Queue*, 2> turns{&queue, &other};
    for (unsigned i = 0; i < 27; ++i) {  // some laps
        Queue& now = *turns[i % 2];
        const auto id = driver.add({{kData, 8, true}, {kData, 8, true}, {kData, 8, true}});
        ASSERT_TRUE(now.pop(chain)) << i;
        now.complete(chain.head(), i);
        now.publish();
        ASSERT_EQ(driver.collect(), (UsedBuffer{id, i}));
        EXPECT_EQ(now.rings().driver, pair.config().driver);

        now.stop();
        ASSERT_TRUE(turns[(i + 1) % 2]->start(now.rings(), pair.features, now.position()));
    }
    EXPECT_EQ(events.resets, 0);
}

TEST(QueuePositionTest, IsTheOneOfVhost) {
    Pair split{{.kind = RingKind::Split, .size = 4}};
    Pair packed{{.kind = RingKind::Packed, .size = 4}};
    EXPECT_EQ(split.queue.position(), (RingPosition{0, 0}));
    EXPECT_EQ(packed.queue.position(), (RingPosition{0x8000, 0x8000}));

    for (int i = 0; i < 5; ++i)
        for (Pair* const each : {&split, &packed}) {
            each->driver.add({{kData, 8, true}});
            ASSERT_TRUE(each->serve());
            ASSERT_TRUE(each->driver.collect());
        }
    EXPECT_EQ(split.queue.position(), (RingPosition{5, 5}));
    EXPECT_EQ(packed.queue.position(), (RingPosition{1, 1}));  // the second lap
}

TEST(QueuePositionTest, PlaceThatTheRingDoesNotHaveIsRefused) {
    Pair packed{{.kind = RingKind::Packed, .size = 4}};
    packed.queue.stop();
    EXPECT_FALSE(packed.queue.start(packed.config(), packed.features, RingPosition{4, 0}));
    EXPECT_FALSE(packed.queue.start(packed.config(), packed.features, RingPosition{0, 0x8004}));
    EXPECT_TRUE(packed.queue.start(packed.config(), packed.features, RingPosition{3, 0x8003}));
}

}  // namespace
}  // namespace vmm::virtio
