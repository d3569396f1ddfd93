// SPDX-License-Identifier: Apache-2.0
#include "virtio_blk/virtio_blk.hpp"

#include <atomic>
#include <cerrno>
#include <utility>

#include "support/captured_log.hpp"
#include "virtio_blk/blk_rig.hpp"

namespace vmm::test {
namespace {

using Kind = BlockRequest::Kind;
using Seen = FakeBlockBackend::Seen;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

INSTANTIATE_TEST_SUITE_P(Rings, BlkTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& of) {
                             return of.param == RingKind::Split ? "Split" : "Packed";
                         });

TEST_P(BlkTest, ReadBringsDataAndCountsItWithTheStatus) {
    backend.put(512, filled(1024, 'x'));
    start_disk();
    const Gpa to = rig->room(1024);

    const Sent sent = read(1, to, 1024);

    EXPECT_EQ(length(sent), 1025);
    EXPECT_EQ(status(sent), kOk);
    EXPECT_EQ(rig->memory().text(to, 1024), filled(1024, 'x'));
    EXPECT_TRUE(rig->interrupted(0));
    EXPECT_EQ(rig->interrupts(0), 1);
}

TEST_P(BlkTest, WriteReachesTheMedium) {
    start_disk();

    const Sent sent = write(2, filled(512, 'w'));

    EXPECT_EQ(length(sent), 1);
    EXPECT_EQ(status(sent), kOk);
    EXPECT_EQ(backend.text(1024, 512), filled(512, 'w'));
    EXPECT_THAT(backend.seen(),
                ElementsAre(Seen{.kind = Kind::Write, .offset = 1024, .length = 512, .pieces = 1}));
}

TEST_P(BlkTest, PiecesAreOneRequestOfTheBackend) {
    backend.put(0, filled(512, 'a') + filled(512, 'b'));
    start_disk();
    const Gpa first = rig->room(300);
    const Gpa second = rig->room(724);

    const Sent sent = send(kIn, 0, {{first, 300, true}, {second, 724, true}});

    EXPECT_EQ(length(sent), 1025);
    EXPECT_EQ(rig->memory().text(first, 300), filled(300, 'a'));
    EXPECT_EQ(rig->memory().text(second, 724), filled(212, 'a') + filled(512, 'b'));
    EXPECT_THAT(backend.seen(),
                ElementsAre(Seen{.kind = Kind::Read, .offset = 0, .length = 1024, .pieces = 2}));
}

TEST_P(BlkTest, FlushReachesTheBackend) {
    start_disk();

    EXPECT_EQ(length(send(kFlush, 0)), 1);

    EXPECT_THAT(backend.seen(), ElementsAre(Seen{.kind = Kind::Flush}));
}

TEST_P(BlkTest, GetIdGivesTwentyBytesOfSerial) {
    start_disk();
    const Gpa to = rig->put(filled(20, '#'));

    const Sent sent = send(kGetId, 0, {{to, 20, true}});

    EXPECT_EQ(length(sent), 21);
    EXPECT_EQ(status(sent), kOk);
    EXPECT_EQ(rig->memory().text(to, 20), "serial-1" + std::string(12, '\0'));
}

TEST_P(BlkTest, DiscardAndZeroesReachTheBackend) {
    start_disk();

    EXPECT_EQ(result(range(kDiscard, {.sector = 8, .sectors = 16})), kOk);
    EXPECT_EQ(result(range(kWriteZeroes, {.sector = 1, .sectors = 2, .flags = 1})), kOk);
    EXPECT_EQ(result(range(kWriteZeroes, {.sector = 1, .sectors = 2})), kOk);

    EXPECT_THAT(
        backend.seen(),
        ElementsAre(Seen{.kind = Kind::Discard, .offset = 4096, .length = 8192},
                    Seen{.kind = Kind::WriteZeroes, .offset = 512, .length = 1024, .unmap = true},
                    Seen{.kind = Kind::WriteZeroes, .offset = 512, .length = 1024}));
}

TEST_P(BlkTest, ManyRequestsAreStartedTogether) {
    make({.kind = GetParam()});
    ASSERT_TRUE(rig->negotiate());
    rig->set_up_queue(0);
    const Gpa to = rig->room(512);
    for (unsigned i = 0; i < 5; ++i)
        add(kIn, i, {{to, 512, true}});

    rig->write_status(15);  // the device sees all of them at once
    for (unsigned i = 0; i < 5; ++i)
        EXPECT_TRUE(rig->wait_used(0).has_value());

    EXPECT_EQ(backend.commits(), 1u);
    EXPECT_TRUE(rig->interrupted(0));
    EXPECT_EQ(rig->interrupts(0), 1);
}

TEST_P(BlkTest, RequestsEndInAnyOrder) {
    start_disk();
    backend.hold();
    const Sent first = send(kFlush, 0);
    const Sent second = send(kFlush, 0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 2; }));

    backend.release(1, FakeBlockBackend::Order::Youngest);
    EXPECT_EQ(length(second), 1);
    EXPECT_EQ(status(first), kUntouched);

    backend.release(1);
    EXPECT_EQ(length(first), 1);
}

TEST_P(BlkTest, WholeQueueCanBeUnderWay) {
    start({.kind = GetParam(), .size = 16});
    backend.hold();
    const Gpa table = rig->room(16 * 64);
    for (unsigned i = 0; i < 16; ++i)
        rig->queue(0).add_indirect({{header(kFlush, 0), 16}, {status_byte(), 1, true}},
                                   Gpa{table.value() + 64u * i});
    rig->kick(0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 16; }));

    backend.release(16);

    for (unsigned i = 0; i < 16; ++i)
        EXPECT_TRUE(rig->wait_used(0).has_value()) << i;
}

TEST_P(BlkTest, QueuesShareOneThreadWithoutWaitingForEachOther) {
    options.queues = 3;
    start_disk();
    EXPECT_EQ(rig->config<std::uint16_t>(34), 3);
    EXPECT_NE(rig->offered() & virtio::feature(12), 0u);
    backend.hold();
    const Sent slow = send(kFlush, 0, {}, 2);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));

    const Sent quick = send(kGetId, 0, {{rig->room(20), 20, true}}, 1);

    EXPECT_EQ(length(quick), 21);
    backend.release_all();
    EXPECT_EQ(length(slow), 1);
}

TEST_P(BlkTest, BackendErrorsBecomeIoErrors) {
    start_disk();
    const Gpa to = rig->room(512);
    backend.fail(Kind::Read, EIO);
    backend.fail(Kind::Write, ENOSPC);
    backend.fail(Kind::Flush, EIO);
    backend.fail(Kind::Discard, EOPNOTSUPP);

    const Sent sent = read(0, to, 512);
    EXPECT_EQ(length(sent), 0);  // nothing is known to be in front of the status
    EXPECT_EQ(status(sent), kIoError);
    EXPECT_EQ(result(write(0, filled(512, 'a'))), kIoError);
    EXPECT_EQ(result(send(kFlush, 0)), kIoError);
    EXPECT_EQ(result(range(kDiscard, {.sectors = 8})), kUnsupported);

    backend.fail(Kind::Read, 0);
    EXPECT_EQ(result(read(0, to, 512)), kOk);
}

TEST_P(BlkTest, EachKindOfFailureIsLoggedOnce) {
    start_disk();
    backend.fail(Kind::Flush, EIO);
    backend.fail(Kind::Write, ENOSPC);

    const test::CapturedLog captured;
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(result(send(kFlush, 0)), kIoError);
        EXPECT_EQ(result(write(0, filled(512, 'a'))), kIoError);
    }
    const std::string log = captured.text();

    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2) << log;
    EXPECT_THAT(log, HasSubstr("disk0 (/fake/disk): flush failed: Input/output error"));
    EXPECT_THAT(log, HasSubstr("disk0 (/fake/disk): write failed: No space left on device"));
}

TEST_P(BlkTest, WritesAreDurableWhenTheDriverKnowsNoFlush) {
    start({.kind = GetParam(), .without = virtio::feature(9) | virtio::feature(11)});

    EXPECT_EQ(result(write(0, filled(512, 'd'))), kOk);

    EXPECT_TRUE(backend.seen().at(0).durable);
}

TEST_P(BlkTest, WritebackFieldSwitchesTheCache) {
    start_disk();
    EXPECT_EQ(rig->config<std::uint8_t>(32), 1);
    EXPECT_EQ(result(write(0, filled(512, 'd'))), kOk);

    rig->write_config<std::uint8_t>(32, 0);
    EXPECT_EQ(rig->config<std::uint8_t>(32), 0);
    EXPECT_EQ(result(write(0, filled(512, 'd'))), kOk);
    EXPECT_EQ(result(range(kWriteZeroes, {.sectors = 1})), kOk);

    ASSERT_THAT(backend.seen(), SizeIs(3));
    EXPECT_FALSE(backend.seen()[0].durable);
    EXPECT_TRUE(backend.seen()[1].durable);
    EXPECT_TRUE(backend.seen()[2].durable);

    ASSERT_TRUE(rig->reset());
    EXPECT_EQ(rig->config<std::uint8_t>(32), 1);
}

TEST_P(BlkTest, WritebackFieldIsIgnoredUnlessNegotiated) {
    start({.kind = GetParam(), .without = virtio::feature(11)});
    rig->write_config<std::uint8_t>(32, 0);

    EXPECT_EQ(result(write(0, filled(512, 'd'))), kOk);

    EXPECT_FALSE(backend.seen().at(0).durable);
}

TEST_P(BlkTest, WritebackFieldHoldsForAllThatComesAfterIt) {
    Sent second;
    backend.after_submit = [&, first = true]() mutable {
        if (!std::exchange(first, false))
            return;
        // In the midst of a batch.
        rig->write_config<std::uint8_t>(32, 0);
        second = add(kOut, 0, {{rig->put(filled(512, 'd')), 512}});
    };
    start_disk();

    EXPECT_EQ(result(write(0, filled(512, 'd'))), kOk);
    EXPECT_EQ(result(second), kOk);

    ASSERT_THAT(backend.seen(), SizeIs(2));
    EXPECT_FALSE(backend.seen()[0].durable);
    EXPECT_TRUE(backend.seen()[1].durable);
}

TEST_P(BlkTest, WritebackFieldStartsAsFlushSays) {
    start({.kind = GetParam(), .without = virtio::feature(9)});
    EXPECT_EQ(rig->config<std::uint8_t>(32), 0);
}

TEST_P(BlkTest, WritebackFieldOfADriverThatGaveUpIsForgotten) {
    make({.kind = GetParam()});
    rig->write_config<std::uint8_t>(32, 0);

    ASSERT_TRUE(rig->start());

    EXPECT_EQ(rig->config<std::uint8_t>(32), 1);
    EXPECT_EQ(result(write(0, filled(512, 'd'))), kOk);
    EXPECT_FALSE(backend.seen().at(0).durable);
}

TEST_P(BlkTest, ConfigurationDescribesTheDisk) {
    backend.described().physical_block = 4096;
    backend.described().discard_block = 1 << 20;
    start_disk();

    EXPECT_EQ(rig->config<std::uint64_t>(0), 2048u);        // sectors
    EXPECT_EQ(rig->config<std::uint32_t>(8), 4u << 20);     // size_max
    EXPECT_EQ(rig->config<std::uint32_t>(12), 14u);         // seg_max: the ring less two
    EXPECT_EQ(rig->config<std::uint32_t>(20), 512u);        // blk_size
    EXPECT_EQ(rig->config<std::uint8_t>(24), 3);            // 8 blocks in a physical one
    EXPECT_EQ(rig->config<std::uint16_t>(26), 8);           // min_io_size
    EXPECT_EQ(rig->config<std::uint16_t>(34), 1);           // num_queues
    EXPECT_EQ(rig->config<std::uint32_t>(36), 2u << 20);    // discard: 1 GiB
    EXPECT_EQ(rig->config<std::uint32_t>(40), 1u);          // one range
    EXPECT_EQ(rig->config<std::uint32_t>(44), 2048u);       // alignment: 1 MiB
    EXPECT_EQ(rig->config<std::uint32_t>(48), 128u << 10);  // zeroes: 64 MiB
    EXPECT_EQ(rig->config<std::uint32_t>(52), 1u);
    EXPECT_EQ(rig->config<std::uint8_t>(56), 1);
    EXPECT_EQ(disk->config_size(), 60u);
}

TEST_P(BlkTest, LargeBlocksRoundTheCapacityDown) {
    backend.described().logical_block = 4096;
    backend.described().size = 4096 * 3 + 512;
    start_disk();

    EXPECT_EQ(rig->config<std::uint64_t>(0), 24u);
    EXPECT_EQ(rig->config<std::uint32_t>(20), 4096u);
    EXPECT_EQ(rig->config<std::uint8_t>(24), 0);
}

TEST_P(BlkTest, FeaturesFollowTheBackend) {
    backend.described().can_discard = false;
    start_disk();

    const auto offered = rig->offered();
    for (const unsigned bit : {1u, 2u, 6u, 9u, 10u, 11u, 14u})
        EXPECT_NE(offered & virtio::feature(bit), 0u) << bit;
    for (const unsigned bit : {0u, 4u, 5u, 7u, 12u, 13u, 16u, 17u})
        EXPECT_EQ(offered & virtio::feature(bit), 0u) << bit;
}

TEST_P(BlkTest, ResizeIsToldAndObeyed) {
    start_disk();
    EXPECT_EQ(result(read(2048, rig->room(512), 512)), kIoError);

    backend.resize(2 << 20);
    ASSERT_TRUE(disk->resized().has_value());

    EXPECT_EQ(rig->config_interrupts(), 1);
    EXPECT_EQ(rig->config<std::uint64_t>(0), 4096u);
    EXPECT_EQ(result(read(2048, rig->room(512), 512)), kOk);

    ASSERT_TRUE(disk->resized().has_value());
    EXPECT_EQ(rig->config_interrupts(), 1);
}

TEST_P(BlkTest, ResetWaitsForWhatIsUnderWay) {
    start_disk();
    backend.hold();
    send(kFlush, 0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));

    rig->write_status(0);
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    EXPECT_NE(rig->status(), 0);

    backend.release_all();
    ASSERT_TRUE(DeviceRig::wait_until([&] { return rig->status() == 0; }));
    ASSERT_TRUE(rig->start());
    EXPECT_TRUE(alive());
}

TEST_P(BlkTest, QueueResetWaitsForItsOwnRequestsOnly) {
    options.queues = 2;
    start_disk();
    backend.hold();
    send(kFlush, 0, {}, 0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));
    const Sent other = send(kFlush, 0, {}, 1);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 2; }));

    std::thread host{[&] {
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
        backend.release(1);
    }};
    EXPECT_TRUE(rig->reset_queue(0));
    host.join();

    EXPECT_EQ(status(other), kUntouched);
    backend.release_all();
    EXPECT_EQ(length(other), 1);
    rig->set_up_queue(0);
    EXPECT_TRUE(alive());
}

// Spec: 4.1.4.3, "MUST continue to present 1 in queue_reset": the driver polls, no write waits.
TEST_P(BlkTest, QueueResetIsAskedForWithoutWaiting) {
    start_disk();
    backend.hold();
    send(kFlush, 0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));

    rig->ask_queue_reset(0);  // comes back, though only this thread could release the request

    EXPECT_FALSE(rig->is_queue_reset(0));
    EXPECT_GT(rig->config<std::uint64_t>(0), 0U);  // other registers answer meanwhile
    backend.release_all();
    EXPECT_TRUE(DeviceRig::wait_until([&] { return rig->is_queue_reset(0); }));
    rig->set_up_queue(0);
    EXPECT_TRUE(alive());
}

TEST_P(BlkTest, QueueThatAlwaysHasMoreLeavesTimeForTheOthers) {
    options.queues = 2;
    make({.kind = GetParam()});
    const Gpa request = header(kFlush, 0);
    const Gpa verdict = status_byte();
    std::atomic<bool> more{true};
    std::atomic<bool> quiet{false};
    // A driver as quick as can be: the next request is there before the device looks again.
    const auto ask = [&] { rig->queue(0).add({{request, 16}, {verdict, 1, true}}); };
    backend.after_commit = [&] {
        if (!more) {
            quiet = true;
            return;
        }
        (void)rig->queue(0).collect();
        ask();
    };
    ASSERT_TRUE(rig->start());
    ask();
    rig->kick(0);

    EXPECT_EQ(result(send(kFlush, 0, {}, 1)), kOk);

    more = false;
    EXPECT_TRUE(DeviceRig::wait_until([&] { return quiet.load(); }));
}

// After a while with nothing but kicks to wait for, the I/O thread waits in another way.
struct QuietBlkTest : BlkTest {
    void start_quiet_disk() {
        start_disk();
        for (unsigned i = 0; i < 40; ++i)
            ASSERT_TRUE(alive());
    }
};

INSTANTIATE_TEST_SUITE_P(Rings, QuietBlkTest, testing::Values(RingKind::Split, RingKind::Packed));

TEST_P(QuietBlkTest, ResetIsAnsweredAndTheDiskStartsAgain) {
    start_quiet_disk();

    ASSERT_TRUE(rig->reset());
    ASSERT_TRUE(rig->start());

    EXPECT_TRUE(alive());
}

TEST_P(QuietBlkTest, QueueResetIsAnswered) {
    start_quiet_disk();

    EXPECT_TRUE(rig->reset_queue(0));
    rig->set_up_queue(0);

    EXPECT_TRUE(alive());
}

TEST_P(QuietBlkTest, CompletionsAreSeenWhenRequestsBecomeMany) {
    start_quiet_disk();
    backend.hold();
    const Sent first = send(kFlush, 0);
    const Sent second = send(kFlush, 0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 2; }));

    backend.release_all();

    EXPECT_EQ(length(first), 1);
    EXPECT_EQ(length(second), 1);
    EXPECT_TRUE(alive());
}

TEST_P(QuietBlkTest, SecondQueueIsServedWhenItComesLater) {
    options.queues = 2;
    start_disk();
    ASSERT_TRUE(rig->reset_queue(1));
    for (unsigned i = 0; i < 40; ++i)
        ASSERT_TRUE(alive());

    rig->set_up_queue(1);

    EXPECT_EQ(result(send(kFlush, 0, {}, 1)), kOk);
    EXPECT_TRUE(alive());
}

std::string error_of(virtio_blk::BlkOptions options) {
    const auto made =
        virtio_blk::Blk::create(std::move(options), std::make_unique<FakeBlockBackend>(512));
    return made ? "no error" : made.error().report();
}

TEST(BlkOptionsTest, BadValuesAreNamed) {
    EXPECT_THAT(error_of({.name = "root", .queues = 0}),
                HasSubstr("root: num_queues=0 is out of range"));
    EXPECT_THAT(error_of({.queues = 257}), HasSubstr("Choose 1 to 256 queues."));
    EXPECT_THAT(error_of({.queue_size = 100}), HasSubstr("queue_size=100 is not possible"));
    EXPECT_THAT(error_of({.queue_size = 2048}), HasSubstr("Choose a power of two from 2 to 1024."));
    EXPECT_THAT(error_of({.queue_size = 1}), HasSubstr("queue_size=1 is not possible"));
    EXPECT_THAT(error_of({.name = "root", .queues = 65, .queue_size = 1024}),
                HasSubstr("root: num_queues=65 with queue_size=1024 are too many requests at a "
                          "time\n  help: Their product is at most 65536.\n"));
    EXPECT_THAT(error_of({.serial = std::string(21, 's')}),
                HasSubstr("A serial number has at most 20 bytes."));
    EXPECT_EQ(error_of({.serial = std::string(20, 's')}), "no error");
}

TEST(BlkOptionsTest, BackendHasRoomForEveryRequest) {
    auto backend = std::make_unique<FakeBlockBackend>(512);
    FakeBlockBackend& seen = *backend;

    const auto made = virtio_blk::Blk::create({.queues = 4, .queue_size = 256}, std::move(backend));

    ASSERT_TRUE(made.has_value());
    EXPECT_EQ(seen.depth(), 1024u);
}

}  // namespace
}  // namespace vmm::test
