// SPDX-License-Identifier: Apache-2.0
// Registers while the machine is paused: what the device is asked, and what waits.
#include "virtio/registers.hpp"
#include "virtio_support/device_rig.hpp"
#include "virtio_support/scripted_device.hpp"

namespace vmm::virtio {
namespace {

using test::DeviceRig;
using test::kRunning;
using test::ScriptedDevice;

struct PauseTest : testing::Test {
    PauseTest() { device.answers_at_once = false; }
    ~PauseTest() override { device.answers_at_once = true; }

    ScriptedDevice device;
    DeviceRig rig{device};
    Registers& registers = rig.registers();
};

TEST_F(PauseTest, IsQuietWhenTheDeviceSaysSo) {
    ASSERT_TRUE(rig.start());
    EXPECT_FALSE(registers.quiet());

    registers.ask_pause();
    EXPECT_EQ(device.pauses, 1);
    EXPECT_FALSE(registers.quiet());
    EXPECT_EQ(rig.transport().paused, 0);
    device.link->paused();

    EXPECT_TRUE(registers.quiet());
    EXPECT_EQ(rig.transport().paused, 1);
    EXPECT_EQ(rig.status(), kRunning);
}

TEST_F(PauseTest, SecondRequestIsNotPassedOn) {
    ASSERT_TRUE(rig.start());
    registers.ask_pause();
    registers.ask_pause();
    EXPECT_EQ(device.pauses, 1);

    registers.resume();
    registers.resume();

    EXPECT_EQ(device.resumes, 1);
    EXPECT_FALSE(registers.quiet());
}

// The answer to the first pause says nothing about the second.
TEST_F(PauseTest, LateAnswerIsNotTakenForTheNextOne) {
    ASSERT_TRUE(rig.start());
    registers.ask_pause();
    registers.resume();
    registers.ask_pause();

    device.link->paused();
    EXPECT_FALSE(registers.quiet());
    device.link->paused();

    EXPECT_TRUE(registers.quiet());
}

TEST_F(PauseTest, DeviceWithoutADriverIsQuiet) {
    registers.ask_pause();

    EXPECT_EQ(device.pauses, 0);
    EXPECT_TRUE(registers.quiet());
    registers.resume();
    EXPECT_EQ(device.resumes, 0);
    EXPECT_EQ(device.activations, 0);
}

TEST_F(PauseTest, DriverThatGetsReadyMeanwhileStartsOnResume) {
    registers.ask_pause();
    ASSERT_TRUE(rig.start());
    EXPECT_EQ(device.activations, 0);
    EXPECT_TRUE(registers.quiet());

    registers.resume();

    EXPECT_EQ(device.activations, 1);
    EXPECT_TRUE(registers.running(0));
}

TEST_F(PauseTest, DrainThatEndsMeanwhileMakesItQuietAndStartsNothing) {
    ASSERT_TRUE(rig.start());
    rig.write_status(0);
    ASSERT_TRUE(rig.negotiate());
    rig.set_up_queue(0);
    rig.write_status(kRunning);

    registers.ask_pause();
    EXPECT_EQ(device.pauses, 0);
    EXPECT_FALSE(registers.quiet());
    device.link->reset_done();
    EXPECT_TRUE(registers.quiet());
    EXPECT_EQ(device.activations, 1);
    registers.resume();

    EXPECT_EQ(device.activations, 2);
}

TEST_F(PauseTest, ResetOfTheMachineEndsIt) {
    ASSERT_TRUE(rig.start());
    registers.ask_pause();

    registers.ask_reset();
    device.link->reset_done();
    ASSERT_TRUE(rig.start());

    EXPECT_EQ(device.activations, 2);
    registers.ask_pause();
    EXPECT_EQ(device.pauses, 2);
    EXPECT_FALSE(registers.quiet());
    device.link->paused();
    EXPECT_TRUE(registers.quiet());
}

TEST_F(PauseTest, BadRingsAreNotTriedAgainOnResume) {
    ASSERT_TRUE(rig.negotiate());
    registers.set_queue_select(0);
    registers.set_queue_address(Registers::Area::Descriptors, Registers::Half::High, 0xffff'ffff);
    registers.set_queue_enable(1);
    rig.write_status(kRunning);
    ASSERT_EQ(rig.status(), kRunning | status::kNeedsReset);

    registers.ask_pause();
    registers.resume();

    EXPECT_EQ(device.activations, 0);
    EXPECT_EQ(rig.status(), kRunning | status::kNeedsReset);
}

}  // namespace
}  // namespace vmm::virtio
