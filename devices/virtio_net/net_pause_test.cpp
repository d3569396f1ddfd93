// SPDX-License-Identifier: Apache-2.0
// A network device in a machine that is paused: frames that come stay with the host.
#include <gtest/gtest.h>

#include <thread>

#include "support/saved_state.hpp"
#include "virtio_net/net_test_support.hpp"

namespace vmm::virtio_net {
namespace {

struct NetPauseTest : testing::TestWithParam<RingKind> {};

INSTANTIATE_TEST_SUITE_P(Rings, NetPauseTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& kind) {
                             return kind.param == RingKind::Split ? "Split" : "Packed";
                         });

constexpr std::uint64_t kRam = 4 << 20;

TEST_P(NetPauseTest, FramesThatComeMeanwhileAreDeliveredOnResume) {
    Bench b{DeviceRig::Options{.kind = GetParam(), .ram = kRam}};
    ASSERT_TRUE(b.rig.start());
    ReceiveBuffers buffers{b, 32, 2048};
    ASSERT_TRUE(b.wire().put(frame_of(60, 0)));
    ASSERT_EQ(buffers.take(), frame_of(60, 0));

    ASSERT_TRUE(b.rig.pause());
    const std::string before = b.rig.memory().text(Gpa{0}, kRam);
    ASSERT_TRUE(b.wire().put(frame_of(60, 1)));
    ASSERT_TRUE(b.wire().put(frame_of(1400, 2)));
    b.rig.kick(kRx);
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
    EXPECT_TRUE(b.rig.memory().text(Gpa{0}, kRam) == before);
    b.rig.resume();

    EXPECT_EQ(buffers.take(), frame_of(60, 1));
    EXPECT_EQ(buffers.take(), frame_of(1400, 2));
}

TEST_P(NetPauseTest, FramesOfTheDriverWaitToo) {
    Bench b{DeviceRig::Options{.kind = GetParam(), .ram = kRam}};
    ASSERT_TRUE(b.rig.start());
    ASSERT_TRUE(b.rig.pause());
    const auto id = b.send(frame_of(60, 3));
    EXPECT_FALSE(b.rig.wait_used(kTx, std::chrono::milliseconds{5}));

    b.rig.resume();

    EXPECT_EQ(b.rig.wait_used(kTx), (UsedBuffer{id, 0}));
    const auto frame = b.wire().take();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->bytes, frame_of(60, 3));
}

TEST_P(NetPauseTest, HangUpIsToldOnResume) {
    Bench b{DeviceRig::Options{.kind = GetParam(), .ram = kRam}};
    ASSERT_TRUE(b.rig.start());
    ASSERT_TRUE(b.rig.pause());
    b.wire().cut();
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    EXPECT_EQ(b.rig.config<std::uint16_t>(6), 1);

    b.rig.resume();

    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.rig.config<std::uint16_t>(6) == 0; }));
}

// Buffers that were taken for frames to come are taken again by the device that goes on.
TEST_P(NetPauseTest, BuffersThatWaitedForFramesAreTakenAgainAfterARestore) {
    Bench b{DeviceRig::Options{.kind = GetParam(), .ram = kRam}};
    ASSERT_TRUE(b.rig.start());
    ReceiveBuffers buffers{b, 32, 2048};
    for (unsigned i = 0; i < 5; ++i) {
        ASSERT_TRUE(b.wire().put(frame_of(60, i)));
        ASSERT_EQ(buffers.take(), frame_of(60, i));
    }
    ASSERT_TRUE(b.rig.pause());
    const auto state = test::saved(b.rig.registers());
    b.rig.registers().ask_reset();
    ASSERT_TRUE(DeviceRig::wait_until([&] { return b.rig.registers().released(); }));

    ASSERT_EQ(test::restored(b.rig.registers(), state), "");

    b.rig.kick(kRx);
    for (unsigned i = 10; i < 50; ++i) {
        ASSERT_TRUE(b.wire().put(frame_of(100, i)));
        ASSERT_EQ(buffers.take(), frame_of(100, i));
    }
}

}  // namespace
}  // namespace vmm::virtio_net
