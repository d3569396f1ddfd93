// SPDX-License-Identifier: Apache-2.0
// How much work a disk has taken on at any moment, and what a reset has to wait for.

#include "virtio_blk/blk_rig.hpp"

namespace vmm::test {
namespace {

constexpr std::uint32_t kMiB = 1 << 20;
constexpr std::uint32_t kLarge = 4 * kMiB;      // of a request here
constexpr std::uint64_t kMost = 32 * kMiB;      // that may be outstanding, and one request more
constexpr std::size_t kTaken = kMost / kLarge;  // requests that this is
constexpr std::size_t kOffered = 128 / 3;       // as many as the ring takes

class BlkBoundsTest : public BlkTest {
protected:
    /// A disk that does nothing until the test lets it, with a full ring of large reads.
    void start_busy(std::uint32_t queues = 1) {
        backend.resize(2 * kLarge);
        backend.described().size = 2 * kLarge;
        backend.hold();
        options.queue_size = 128;
        options.queues = queues;
        start_disk();
        to = rig->room(kLarge);
        for (std::uint16_t queue = 0; queue < queues; ++queue) {
            for (std::size_t i = 0; i < kOffered; ++i)
                add(kIn, 0, {{to, kLarge, true}}, queue);
            rig->kick(queue);
        }
        ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == kTaken; }));
    }
    /// All that were offered to this queue come back; gives how many did.
    std::size_t let_all_end(std::uint16_t queue) {
        std::size_t back = 0;
        DeviceRig::wait_until([&] {
            backend.release(1);
            most_held = std::max(most_held, backend.held_bytes());
            while (rig->queue(queue).collect())
                ++back;
            return back == kOffered;
        });
        return back;
    }

    Gpa to;
    std::uint64_t most_held = 0;
};

INSTANTIATE_TEST_SUITE_P(Rings, BlkBoundsTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& of) {
                             return of.param == RingKind::Split ? "Split" : "Packed";
                         });

TEST_P(BlkBoundsTest, OutstandingBytesAreBoundedAndAllComeBack) {
    start_busy();

    EXPECT_EQ(backend.held_bytes(), kMost);
    EXPECT_EQ(let_all_end(0), kOffered);

    EXPECT_LE(most_held, kMost + kLarge);
    EXPECT_EQ(backend.seen().size(), kOffered);
    backend.release_all();
    EXPECT_TRUE(alive());
}

TEST_P(BlkBoundsTest, QueuesShareTheBoundAndNoneStarves) {
    start_busy(3);

    EXPECT_EQ(backend.held_bytes(), kMost);
    for (std::uint16_t queue = 0; queue < 3; ++queue)
        EXPECT_EQ(let_all_end(queue), kOffered) << queue;

    EXPECT_LE(most_held, kMost + kLarge);
}

TEST_P(BlkBoundsTest, SmallRequestsAreBoundedByTheRingAlone) {
    backend.hold();
    options.queue_size = 128;
    start_disk();
    const Gpa small = rig->room(512);
    for (std::size_t i = 0; i < kOffered; ++i)
        add(kIn, 0, {{small, 512, true}});
    rig->kick(0);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return backend.held() == kOffered; }));
}

TEST_P(BlkBoundsTest, WhatIsLargerThanTheBoundIsServedAlone) {
    constexpr std::uint32_t kHuge = 40 * kMiB;
    backend.resize(kHuge);
    backend.described().size = kHuge;
    backend.hold();
    options.queue_size = 128;
    start({.kind = GetParam(), .ram = 128 << 20});
    const Gpa room = rig->room(kHuge);
    const Sent huge = add(kIn, 0, {{room, kHuge, true}});
    const Sent next = add(kIn, 0, {{room, 512, true}});
    rig->kick(0);

    EXPECT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));
    backend.release(1);
    EXPECT_EQ(result(huge), kOk);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));
    backend.release(1);
    EXPECT_EQ(result(next), kOk);
}

// The disk has them and cannot let go: a reset waits for these, and for nothing that is in the
// ring.
TEST_P(BlkBoundsTest, ResetWaitsForWhatIsOutstandingOnly) {
    start_busy();

    rig->write_status(0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.cancelled() == kTaken; }));
    EXPECT_NE(rig->status(), 0) << "requests may still write to memory";
    backend.release(kTaken);

    EXPECT_TRUE(DeviceRig::wait_until([&] { return rig->status() == 0; }));
    EXPECT_EQ(backend.seen().size(), kTaken);
    EXPECT_FALSE(rig->queue(0).collect()) << "the driver has its buffers back";
}

TEST_P(BlkBoundsTest, ResetCancelsWhatCanBe) {
    backend.let_cancel();
    start_busy();

    EXPECT_TRUE(rig->reset());

    EXPECT_EQ(backend.cancelled(), kTaken);
    EXPECT_EQ(backend.held(), 0u);
    backend.release_all();
    ASSERT_TRUE(rig->start());
    EXPECT_TRUE(alive());
}

TEST_P(BlkBoundsTest, PiecesThatAreAlwaysThereDoNotKeepAResetWaiting) {
    backend.let_cancel();
    backend.seem_ready(kTaken);
    start_busy();

    EXPECT_TRUE(rig->reset());

    backend.release_all();
    ASSERT_TRUE(rig->start());
    EXPECT_TRUE(alive());
}

TEST_P(BlkBoundsTest, PiecesThatAreAlwaysThereGoOnAfterAnotherCommand) {
    backend.let_cancel();
    backend.seem_ready(kTaken);
    start_busy(2);

    EXPECT_TRUE(rig->reset_queue(0));

    EXPECT_EQ(let_all_end(1), kOffered);
}

TEST_P(BlkBoundsTest, PiecesOfAnotherQueueDoNotKeepAQueueResetWaiting) {
    backend.let_cancel();
    backend.seem_ready(kTaken);
    start_busy(2);
    // The other queue has all of the room now.
    ASSERT_TRUE(rig->reset_queue(0));
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == kTaken; }));
    rig->set_up_queue(0);

    EXPECT_TRUE(rig->reset_queue(0));

    EXPECT_EQ(let_all_end(1), kOffered);
}

TEST_P(BlkBoundsTest, QueueResetCancelsItsOwnAndOthersGoOn) {
    backend.let_cancel();
    start_busy(2);
    const std::size_t before = backend.seen().size();

    EXPECT_TRUE(rig->reset_queue(0));

    // What the first queue had is free for the second.
    EXPECT_TRUE(DeviceRig::wait_until([&] { return backend.held() == kTaken; }));
    EXPECT_EQ(backend.seen().size(), before + backend.cancelled());
    EXPECT_EQ(let_all_end(1), kOffered);
    EXPECT_FALSE(rig->queue(0).collect());
    backend.release_all();
    rig->set_up_queue(0);
    EXPECT_TRUE(alive());
}

}  // namespace
}  // namespace vmm::test
