// SPDX-License-Identifier: Apache-2.0
// Registers between a reset and its end, when the last driver's requests are still under way.
#include <thread>

#include "virtio/registers.hpp"
#include "virtio_support/device_rig.hpp"
#include "virtio_support/scripted_device.hpp"

namespace vmm::virtio {
namespace {

using test::DeviceRig;
using test::kRunning;
using test::kUpToFeaturesOk;
using test::ScriptedDevice;
using Area = Registers::Area;
using Half = Registers::Half;

/// The driver has written 0, and the device is not at the end of what it had begun.
struct DrainTest : testing::Test {
    DrainTest() {
        EXPECT_TRUE(rig.start());
        device.answers_at_once = false;
        rig.write_status(0);
    }
    ~DrainTest() override { device.answers_at_once = true; }

    ScriptedDevice device;
    DeviceRig rig{device};
    Registers& registers = rig.registers();
};

// Small drivers write 0 and go on.
TEST_F(DrainTest, DriverThatDoesNotWaitStartsWhenTheDrainEnds) {
    ASSERT_TRUE(rig.negotiate());
    EXPECT_EQ(rig.status(), kUpToFeaturesOk);
    rig.set_up_queue(1);
    rig.write_status(kRunning);
    EXPECT_EQ(rig.status(), kRunning);
    EXPECT_FALSE(registers.running(1));
    EXPECT_EQ(device.activations, 1);

    device.link->reset_done();

    EXPECT_EQ(device.activations, 2);
    EXPECT_TRUE(registers.running(1));
    EXPECT_FALSE(registers.running(0));
    EXPECT_FALSE(device.queues[0].enabled());
    EXPECT_EQ(rig.status(), kRunning);
}

TEST_F(DrainTest, DriverThatIsOnItsWayFindsWhatItWrote) {
    rig.write_status(status::kAcknowledge);
    EXPECT_EQ(rig.status(), status::kAcknowledge);
    rig.accept(f::kVersion1);
    registers.set_queue_select(1);
    registers.set_queue_size(4);

    device.link->reset_done();

    EXPECT_EQ(rig.status(), status::kAcknowledge);
    EXPECT_EQ(registers.queue_size(), 4u);
    rig.write_status(kUpToFeaturesOk);
    EXPECT_EQ(rig.status(), kUpToFeaturesOk);
    EXPECT_EQ(device.activations, 1);
}

TEST_F(DrainTest, SecondResetTakesBackWhatWasWrittenSince) {
    ASSERT_TRUE(rig.negotiate());
    rig.set_up_queue(0);
    rig.write_status(kRunning);

    rig.write_status(0);
    EXPECT_NE(rig.status(), 0);
    device.link->reset_done();

    EXPECT_EQ(rig.status(), 0);
    EXPECT_EQ(device.activations, 1);
    EXPECT_EQ(device.resets, 1);
}

TEST_F(DrainTest, OldStatusWithABitMoreStartsNothing) {
    rig.write_status(rig.status() | status::kAcknowledge);
    device.link->reset_done();

    EXPECT_EQ(rig.status(), status::kAcknowledge | status::kDriver);
    EXPECT_EQ(device.activations, 1);
}

TEST_F(DrainTest, BadRingsOfTheNextDriverNeedResetWhenItStarts) {
    ASSERT_TRUE(rig.negotiate());
    registers.set_queue_select(0);
    registers.set_queue_address(Area::Descriptors, Half::High, 0xffff'ffff);
    registers.set_queue_enable(1);
    rig.write_status(kRunning);

    device.link->reset_done();

    EXPECT_EQ(rig.status(), kRunning | status::kNeedsReset);
    EXPECT_EQ(device.activations, 1);
}

TEST_F(DrainTest, QueueThatWasResetBeforeTheStartIsLeftAlone) {
    ASSERT_TRUE(rig.negotiate());
    rig.set_up_queue(0);
    rig.set_up_queue(1);
    rig.write_status(kRunning);
    ASSERT_TRUE(rig.reset_queue(0));

    device.link->reset_done();

    EXPECT_EQ(device.stopped.size(), 0u);
    EXPECT_FALSE(registers.running(0));
    EXPECT_TRUE(registers.running(1));
}

TEST_F(DrainTest, FailureOfTheLastDriversQueuesIsNotTheNextOnes) {
    rig.write_status(status::kAcknowledge);
    device.link->needs_reset();

    device.link->reset_done();

    EXPECT_EQ(rig.status(), status::kAcknowledge);
    EXPECT_EQ(rig.config_interrupts(), 0);
}

// The machine's loop: it has other things to do meanwhile.
TEST_F(DrainTest, ResetThatIsAskedForDoesNotWait) {
    ASSERT_TRUE(rig.negotiate());
    rig.write_status(kRunning);

    registers.ask_reset();
    registers.ask_reset();

    EXPECT_FALSE(registers.released());
    EXPECT_EQ(rig.transport().released, 0);
    device.link->reset_done();
    EXPECT_TRUE(registers.released());
    EXPECT_EQ(rig.transport().released, 1);
    EXPECT_EQ(rig.status(), 0);
    EXPECT_EQ(device.activations, 1);
    EXPECT_EQ(device.resets, 1);
}

TEST_F(DrainTest, MachineResetTakesTheStartBackToo) {
    ASSERT_TRUE(rig.negotiate());
    rig.write_status(kRunning);
    std::thread io{[&] {
        while (rig.transport().cleared != 2)
            std::this_thread::yield();
        device.link->reset_done();
    }};

    registers.reset_and_wait();
    io.join();

    EXPECT_EQ(rig.status(), 0);
    EXPECT_EQ(device.activations, 1);
}

}  // namespace
}  // namespace vmm::virtio
