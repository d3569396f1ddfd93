// SPDX-License-Identifier: Apache-2.0
// The device step by step, without a thread: what was fetched together, in the order that hurts.
#include "virtio/stepper.hpp"
#include "virtio_net/net_test_support.hpp"

namespace vmm::virtio_net {
namespace {

struct NetStepTest : testing::Test {
    NetStepTest() {
        auto backend = std::make_unique<FakeNetBackend>();
        host = backend.get();
        net = make_net(std::move(backend), {.stepper = &stepper});
        rig = std::make_unique<DeviceRig>(*net);
        start();
    }
    ~NetStepTest() override {
        if (rig == nullptr)
            return;
        rig->write_status(0);
        EXPECT_TRUE(stepper.run());
    }
    void start() {
        ASSERT_TRUE(rig->start());
        ASSERT_TRUE(stepper.run());
    }
    std::uint16_t link_status() { return rig->config<std::uint16_t>(6); }

    virtio::Stepper stepper;
    FakeNetBackend* host = nullptr;
    std::unique_ptr<Net> net;
    std::unique_ptr<DeviceRig> rig;
};

// One look brings the driver's reset and the host's hang-up, and when the second is come to,
// whoever waited for the reset has freed the registers.
TEST_F(NetStepTest, HangUpThatWasFetchedWithAResetTouchesNothing) {
    rig->write_status(0);
    host->wire(0).cut();
    ASSERT_EQ(stepper.fetch(), 2u);

    stepper.dispatch(0);
    EXPECT_EQ(rig->status(), 0);
    rig.reset();

    stepper.dispatch(0);
}

TEST_F(NetStepTest, NextDriverHearsOfTheHangUp) {
    EXPECT_EQ(link_status(), 1);
    rig->write_status(0);
    host->wire(0).cut();
    ASSERT_TRUE(stepper.run());
    EXPECT_EQ(link_status(), 1);

    start();

    EXPECT_EQ(link_status(), 0);
}

TEST_F(NetStepTest, LinkThatChangedWithAResetIsSeenByTheNextDriver) {
    rig->write_status(0);
    host->set_link_up(false);
    ASSERT_EQ(stepper.fetch(), 2u);
    ASSERT_TRUE(stepper.run());

    start();

    EXPECT_EQ(link_status(), 0);
}

// Sources that stay ready while nothing can be done about them must not keep the thread busy: after
// one event each it sleeps, and asks the host nothing.

TEST_F(NetStepTest, Row15FramesWithoutBuffersWakeOnceEachAndAskNothing) {
    constexpr int kFrames = 50;
    for (int i = 0; i < kFrames; ++i) {
        ASSERT_TRUE(host->wire(0).put(frame_of(60)));
        ASSERT_LE(stepper.fetch(), 1u);
        ASSERT_TRUE(stepper.run(4));
    }

    EXPECT_EQ(stepper.fetch(), 0u);
    EXPECT_EQ(host->receives, 0);
    EXPECT_EQ(net->traffic().receive_dropped, 0u);
}

TEST_F(NetStepTest, Row15KicksWhileTheHostIsFullSendNothing) {
    std::string frame(sizeof(FrameHeader), '\0');
    frame += frame_of(8000);
    const Gpa at = rig->put(frame);
    for (int i = 0; i < 200; ++i)
        rig->queue(kTx).add({{at, static_cast<std::uint32_t>(frame.size())}});
    rig->kick(kTx);
    ASSERT_TRUE(stepper.run());
    const int sends = host->sends;
    ASSERT_LT(sends, 200);

    for (int i = 0; i < 20; ++i) {
        rig->kick(kTx);
        ASSERT_TRUE(stepper.run(4));
    }

    EXPECT_EQ(stepper.fetch(), 0u);
    EXPECT_EQ(host->sends, sends);
    while (host->wire(0).take_now()) {
    }
    ASSERT_TRUE(stepper.run());
    EXPECT_GT(host->sends, sends);
}

}  // namespace
}  // namespace vmm::virtio_net
