// SPDX-License-Identifier: Apache-2.0
// Frames that the host's side keeps for a moment and sends together.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "virtio_net/net_test_support.hpp"

namespace vmm::virtio_net {
namespace {

class TransmitTest : public testing::TestWithParam<RingKind> {
protected:
    TransmitTest() {
        b_.host.keep_short = true;
        EXPECT_TRUE(b_.rig.start());
    }
    /// All of them are the driver's again.
    void expect_used(unsigned count) {
        for (unsigned i = 0; i < count; ++i)
            ASSERT_TRUE(b_.rig.wait_used(kTx).has_value()) << i;
    }
    void expect_arrival(const std::string& frame) {
        const auto got = b_.wire().take();
        ASSERT_TRUE(got.has_value());
        EXPECT_EQ(got->bytes, frame);
    }

    Bench b_{DeviceRig::Options{.kind = GetParam()}};
};

INSTANTIATE_TEST_SUITE_P(Rings, TransmitTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& kind) {
                             return kind.param == RingKind::Split ? "Split" : "Packed";
                         });

TEST_P(TransmitTest, FrameDoesNotWaitForAnother) {
    for (unsigned i = 0; i < 20; ++i) {
        b_.send(frame_of(60, i));
        expect_arrival(frame_of(60, i));
        expect_used(1);
    }
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b_.net->traffic().sent == 20; }));
    EXPECT_EQ(b_.net->traffic().send_dropped, 0u);
}

TEST_P(TransmitTest, LongFrameStaysBehindTheShortOnesBeforeIt) {
    for (unsigned round = 0; round < 8; ++round) {
        for (unsigned i = 0; i < 3; ++i)
            b_.send(frame_of(60, i));
        b_.send(frame_of(1500));
        b_.send(frame_of(100));
        for (unsigned i = 0; i < 3; ++i)
            expect_arrival(frame_of(60, i));
        expect_arrival(frame_of(1500));
        expect_arrival(frame_of(100));
        expect_used(5);
    }
}

TEST_P(TransmitTest, LostFramesAreCountedAsDropped) {
    b_.host.refuse_kept = true;
    for (unsigned i = 0; i < 20; ++i)
        b_.send(frame_of(60));
    expect_used(20);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b_.net->traffic().send_dropped == 20; }));
    EXPECT_EQ(b_.net->traffic().sent, 0u);
    b_.host.refuse_kept = false;
    b_.send(frame_of(60, 1));
    expect_arrival(frame_of(60, 1));
}

TEST_P(TransmitTest, FramesLostBeforeTheHostWasFullAreCountedToo) {
    b_.host.refuse_kept = true;
    b_.host.full_once = true;
    for (unsigned i = 0; i < 20; ++i)
        b_.send(frame_of(60));
    expect_used(20);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b_.net->traffic().send_dropped == 20; }));
    EXPECT_EQ(b_.net->traffic().sent, 0u);
}

TEST_P(TransmitTest, KeptFramesWaitForRoomAndArriveOnce) {
    // Nobody takes any, and the wire has room for some hundred.
    unsigned sent = 0;
    unsigned used = 0;
    while (used == sent) {
        ASSERT_LT(sent, 4000u) << "the wire has no end";
        for (unsigned i = 0; i < 50; ++i)
            b_.send(frame_of(250, sent++));
        while (used < sent && b_.rig.wait_used(kTx, std::chrono::milliseconds{500}))
            ++used;
    }
    const int flushes = b_.host.flushes;
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    EXPECT_EQ(b_.host.flushes, flushes) << "it does not sleep";
    EXPECT_LT(b_.net->traffic().sent, sent);

    for (unsigned i = 0; i < sent; ++i)
        expect_arrival(frame_of(250, i));
    expect_used(sent - used);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b_.net->traffic().sent == sent; }));
    EXPECT_EQ(b_.net->traffic().send_dropped, 0u);
    EXPECT_FALSE(b_.wire().take_now().has_value());
}

TEST_P(TransmitTest, HostThatIsGoneLosesWhatItKept) {
    b_.wire().cut();
    for (unsigned i = 0; i < 50; ++i) {
        b_.send(frame_of(60));
        expect_used(1);
    }
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b_.net->traffic().send_dropped == 50; }));
    EXPECT_EQ(b_.net->traffic().sent, 0u);
}

}  // namespace
}  // namespace vmm::virtio_net
