#include "virtio/queue.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include "support/flat_guest_memory.hpp"
#include "support/virt_queue_driver.hpp"

namespace vmm::virtio {
namespace {

using test::Buffer;
using test::FlatGuestMemory;
using test::RingKind;
using test::UsedBuffer;
using test::VirtQueueDriver;

constexpr Gpa kRings{0x10000};
constexpr Gpa kData{0x40000};
constexpr Gpa kTable{0x80000};
constexpr std::uint64_t kRam = 0x200000;

struct CountingEvents final : QueueEvents {
    void used_buffers(std::uint16_t) noexcept override { ++interrupts; }
    void needs_reset() noexcept override { ++resets; }
    int interrupts = 0;
    int resets = 0;
};

/// A queue and its driver, in one thread.
struct Pair {
    explicit Pair(VirtQueueDriver::Options options, Features extra = 0)
        : driver{memory, kRings, options} {
        features = f::kVersion1 | f::kIndirectDescriptors | extra;
        if (options.kind == RingKind::Packed)
            features |= f::kRingPacked;
        if (options.event_idx)
            features |= f::kEventIdx;
        started = queue.start(config(), features);
    }
    RingConfig config() const {
        return {.size = driver.size(),
                .descriptors = driver.descriptors(),
                .driver = driver.driver(),
                .device = driver.device()};
    }
    /// Pops one chain and completes it.
    bool serve(std::uint32_t written = 0) {
        if (!queue.pop(chain))
            return false;
        queue.complete(chain.head(), written);
        queue.publish();
        return true;
    }

    FlatGuestMemory memory{kRam};
    CountingEvents events;
    VirtQueueDriver driver;
    Features features = 0;
    Queue queue{3, 64, *EventFd::create(), memory, events};
    Chain chain;
    bool started = false;
};

/// Everything that holds for both kinds of ring.
struct QueueTest : testing::TestWithParam<RingKind> {
    Pair pair{{.kind = GetParam(), .size = 8}};
    Queue& queue = pair.queue;
    VirtQueueDriver& driver = pair.driver;
    Chain& chain = pair.chain;
    CountingEvents& events = pair.events;
};

INSTANTIATE_TEST_SUITE_P(Kinds, QueueTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& kind) {
                             return kind.param == RingKind::Split ? "Split" : "Packed";
                         });

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
    Pair plain{{.kind = GetParam(), .size = 8}};
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

struct EventIdxTest : testing::TestWithParam<RingKind> {
    Pair pair{{.kind = GetParam(), .size = 8, .event_idx = true}};
};

INSTANTIATE_TEST_SUITE_P(Kinds, EventIdxTest, testing::Values(RingKind::Split, RingKind::Packed));

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

struct InOrderTest : testing::TestWithParam<RingKind> {
    Pair pair{{.kind = GetParam(), .size = 4}, f::kInOrder};
};

INSTANTIATE_TEST_SUITE_P(Kinds, InOrderTest, testing::Values(RingKind::Split, RingKind::Packed));

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

struct SplitRingTest : testing::Test {
    Pair pair{{.kind = RingKind::Split, .size = 8}};
};

TEST_F(SplitRingTest, Row05AvailIndexAheadOfTheSizeNeedsReset) {
    pair.driver.poke_avail_index(9);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_FALSE(pair.queue.enable_kicks());
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_F(SplitRingTest, Row05AvailIndexThatGoesBackNeedsReset) {
    pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve());

    pair.driver.poke_avail_index(0);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_F(SplitRingTest, Row05ChainThatLoopsComesBackWithLengthZero) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kNext, 1});
    pair.driver.poke_descriptor(1, {kData.value(), 1, VirtQueueDriver::kNext, 0});
    pair.driver.offer_head(0);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{0, 0}));
    EXPECT_EQ(pair.events.resets, 0);
}

TEST_F(SplitRingTest, Row05TableThatLoopsComesBackWithLengthZero) {
    const auto id = pair.driver.add_indirect({{kData, 16, false}, {kData, 16, false}}, kTable);
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 16 + 12}, std::uint16_t{1}));
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 16 + 14}, std::uint16_t{0}));

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{id, 0}));
}

TEST_F(SplitRingTest, NextBeyondTheTableComesBackWithLengthZero) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kNext, 8});
    pair.driver.offer_head(0);
    pair.driver.poke_descriptor(1, {kData.value(), 1, VirtQueueDriver::kNext, 0xffff});
    pair.driver.offer_head(1);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{0, 0}));
    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{1, 0}));
}

TEST_F(SplitRingTest, NextBeyondAnIndirectTableComesBackWithLengthZero) {
    const auto id = pair.driver.add_indirect({{kData, 16, false}, {kData, 16, false}}, kTable);
    ASSERT_TRUE(pair.memory.write(Gpa{kTable.value() + 14}, std::uint16_t{2}));

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{id, 0}));
}

TEST_F(SplitRingTest, HeadBeyondTheTableNeedsReset) {
    pair.driver.offer_head(8);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_F(SplitRingTest, Row10HeadInFlightNeedsReset) {
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

TEST_F(SplitRingTest, Row10HeadMayComeAgainOnceItWasGivenBack) {
    const auto id = pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve());

    pair.driver.offer_head(id);

    EXPECT_TRUE(pair.serve());
    EXPECT_EQ(pair.events.resets, 0);
}

TEST_F(SplitRingTest, Row05EndlessMalformedChainsEnd) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kNext, 9});
    for (int i = 0; i < 8; ++i)
        pair.driver.offer_head(0);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_LE(pair.queue.in_flight(), 8u);
}

TEST_F(SplitRingTest, TableWithNextSetIsMalformed) {
    pair.driver.poke_descriptor(
        0, {kTable.value(), 16, VirtQueueDriver::kIndirect | VirtQueueDriver::kNext, 1});
    pair.driver.offer_head(0);

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    pair.queue.publish();

    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{0, 0}));
}

TEST_F(SplitRingTest, ChainMayEndInATable) {
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

TEST_F(SplitRingTest, Row02SizeThatIsNoPowerOfTwoIsRefused) {
    pair.queue.stop();
    RingConfig config = pair.config();
    config.size = 6;

    EXPECT_FALSE(pair.queue.start(config, pair.features));
}

TEST_F(SplitRingTest, Row08UsedIndexIsOneAlignedStore) {
    EXPECT_EQ((pair.driver.device().value() + 2) % 2, 0u);
    pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve());

    EXPECT_EQ(pair.memory.read<std::uint16_t>(Gpa{pair.driver.device().value() + 2}), 1);
}

// Packed only.

struct PackedRingTest : testing::Test {
    Pair pair{{.kind = RingKind::Packed, .size = 8}};
};

TEST_F(PackedRingTest, AnySizeUpToTheMaximumWorks) {
    Pair odd{{.kind = RingKind::Packed, .size = 5}};
    ASSERT_TRUE(odd.started);
    for (std::uint32_t i = 0; i < 1000; ++i) {
        const auto id = odd.driver.add({{kData, 8, true}, {kData, 8, true}, {kData, 8, true}});
        ASSERT_TRUE(odd.serve(i));
        ASSERT_EQ(odd.driver.collect(), (UsedBuffer{id, i}));
    }
}

TEST_F(PackedRingTest, Row05ChainWithoutEndNeedsReset) {
    for (std::uint16_t i = 0; i < 8; ++i)
        pair.driver.poke_descriptor(
            i, {kData.value(), 1,
                static_cast<std::uint16_t>(VirtQueueDriver::kNext | VirtQueueDriver::kAvail), i});

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_F(PackedRingTest, Row10IdInFlightNeedsReset) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kAvail, 5});
    pair.driver.poke_descriptor(1, {kData.value(), 1, VirtQueueDriver::kAvail, 5});
    ASSERT_TRUE(pair.queue.pop(pair.chain));

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_F(PackedRingTest, IdsMayBeLargerThanTheRing) {
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kAvail, 0xffff});

    ASSERT_TRUE(pair.queue.pop(pair.chain));
    pair.queue.complete(pair.chain.head(), 0);

    EXPECT_EQ(pair.queue.in_flight(), 0u);
    EXPECT_EQ(pair.events.resets, 0);
}

TEST_F(PackedRingTest, Row36MoreDescriptorsInFlightThanPlacesNeedsReset) {
    for (std::uint16_t i = 0; i < 8; ++i)
        pair.driver.poke_descriptor(i, {kData.value(), 1, VirtQueueDriver::kAvail, i});
    for (int i = 0; i < 8; ++i)
        ASSERT_TRUE(pair.queue.pop(pair.chain));

    // The next lap, although nothing was given back.
    pair.driver.poke_descriptor(0, {kData.value(), 1, VirtQueueDriver::kUsed, 100});

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.events.resets, 1);
}

TEST_F(PackedRingTest, TableWithNextSetTakesBothPlacesAndComesBackWithLengthZero) {
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

TEST_F(PackedRingTest, UnwrittenBufferComesBackWithoutTheWriteFlag) {
    pair.driver.add({{kData, 8, false}});
    ASSERT_TRUE(pair.serve(0));

    EXPECT_EQ(pair.memory.read<std::uint16_t>(Gpa{kRings.value() + 14}), 0x8080);
}

// Two threads, as it is in life. Payload carries a checksum of its id, so that a chain read too
// early or a completion seen too early shows.

struct QueueThreadsTest : testing::TestWithParam<std::tuple<RingKind, bool>> {};

INSTANTIATE_TEST_SUITE_P(Kinds, QueueThreadsTest,
                         testing::Combine(testing::Values(RingKind::Split, RingKind::Packed),
                                          testing::Bool()));

TEST_P(QueueThreadsTest, Row08PayloadIsWholeOnBothSides) {
    const auto [kind, event_idx] = GetParam();
    Pair pair{{.kind = kind, .size = 16, .event_idx = event_idx}};
    constexpr std::uint64_t kRounds = 5000;
    std::thread device{[&] {
        std::uint64_t served = 0;
        while (served < kRounds) {
            while (pair.queue.pop(pair.chain)) {
                Cursor reader = pair.chain.reader();
                Cursor writer = pair.chain.writer();
                const auto value = reader.read<std::uint64_t>(pair.memory);
                if (!value || !writer.write(pair.memory, ~*value))
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

struct QueueScribbleTest : testing::TestWithParam<RingKind> {};

INSTANTIATE_TEST_SUITE_P(Kinds, QueueScribbleTest,
                         testing::Values(RingKind::Split, RingKind::Packed));

TEST_P(QueueScribbleTest, Row14RingsThatChangeUnderneathAreHarmless) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the guest's half of this race is the point of it";
#endif
    Pair pair{{.kind = GetParam(), .size = 8}};
    for (std::uint16_t head = 0; head < 8; ++head)
        if (GetParam() == RingKind::Split)
            pair.driver.offer_head(head);
    std::atomic<bool> stop{false};
    std::thread guest{[&] {
        std::uint64_t random = 88172645463325252u;
        while (!stop) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            const std::size_t at = random % 0x80 / 8 * 8;  // the descriptors
            pair.driver.raw().store<std::uint64_t>(at, random & 0x8087'0007'0000'ffff);
        }
    }};
    std::uint64_t popped = 0;
    for (int round = 0; round < 2000; ++round) {
        if (GetParam() == RingKind::Split)
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

}  // namespace
}  // namespace vmm::virtio
