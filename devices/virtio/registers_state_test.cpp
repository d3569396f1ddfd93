// SPDX-License-Identifier: Apache-2.0
// The state of the registers: a driver that goes on with another device, and states that lie.
#include <gmock/gmock.h>

#include "support/saved_state.hpp"
#include "virtio/registers.hpp"
#include "virtio_support/device_rig.hpp"
#include "virtio_support/echo_device.hpp"
#include "virtio_support/scripted_device.hpp"

namespace vmm::virtio {
namespace {

using test::DeviceRig;
using test::EchoDevice;
using test::kRunning;
using test::restored;
using test::RingKind;
using test::saved;
using test::ScriptedDevice;
using test::State;
using testing::HasSubstr;

/// A device that is taken away from under its driver, which notices nothing.
struct StateTest : testing::TestWithParam<RingKind> {
    EchoDevice device;
    DeviceRig rig{device, {.kind = GetParam(), .size = 8}};
    Registers& registers = rig.registers();

    std::uint16_t offer(std::uint16_t queue) {
        const auto id = rig.queue(queue).add({{rig.put("echo"), 4}, {rig.room(4), 4, true}});
        rig.kick(queue);
        return id;
    }
    bool forget() {
        registers.ask_reset();
        return DeviceRig::wait_until([&] { return registers.released(); });
    }
};

INSTANTIATE_TEST_SUITE_P(Rings, StateTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& kind) {
                             return kind.param == RingKind::Split ? "Split" : "Packed";
                         });

TEST_P(StateTest, DriverGoesOnWhereItWas) {
    ASSERT_TRUE(rig.start());
    for (int i = 0; i < 13; ++i) {  // past the end of the ring
        const auto id = offer(0);
        ASSERT_EQ(rig.wait_used(0), (test::UsedBuffer{id, 4}));
    }
    ASSERT_TRUE(rig.pause());
    const auto late = offer(0);
    const auto other = offer(1);
    const State state = saved(registers);
    ASSERT_TRUE(forget());
    EXPECT_EQ(rig.status(), 0u);

    ASSERT_EQ(restored(registers, state), "");

    EXPECT_EQ(rig.status(), kRunning);
    rig.kick(0);
    rig.kick(1);
    EXPECT_EQ(rig.wait_used(0), (test::UsedBuffer{late, 4}));
    EXPECT_EQ(rig.wait_used(1), (test::UsedBuffer{other, 4}));
    const auto next = offer(0);
    EXPECT_EQ(rig.wait_used(0), (test::UsedBuffer{next, 4}));
}

TEST_P(StateTest, RestoredDuringAPauseItStartsWithResume) {
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.pause());
    const State state = saved(registers);
    ASSERT_TRUE(forget());
    registers.ask_pause();

    ASSERT_EQ(restored(registers, state), "");
    const auto id = offer(0);
    EXPECT_FALSE(rig.wait_used(0, std::chrono::milliseconds{5}));
    EXPECT_EQ(saved(registers), state);
    registers.resume();

    EXPECT_EQ(rig.wait_used(0), (test::UsedBuffer{id, 4}));
}

TEST_P(StateTest, QueueThatWasResetIsSetUpAgainLater) {
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.reset_queue(1));
    ASSERT_TRUE(rig.pause());
    const State state = saved(registers);
    ASSERT_TRUE(forget());

    ASSERT_EQ(restored(registers, state), "");
    EXPECT_FALSE(registers.running(1));
    rig.set_up_queue(1);

    const auto id = offer(1);
    EXPECT_EQ(rig.wait_used(1), (test::UsedBuffer{id, 4}));
}

TEST_P(StateTest, TamperedStateIsRefusedAsAWhole) {
    ASSERT_TRUE(rig.start());
    const auto id = offer(0);
    ASSERT_EQ(rig.wait_used(0), (test::UsedBuffer{id, 4}));
    ASSERT_TRUE(rig.pause());
    const State state = saved(registers);
    ASSERT_TRUE(forget());
    registers.ask_pause();
    ASSERT_EQ(restored(registers, state), "");

    EXPECT_EQ(test::half_taken_states(registers), 0u);

    registers.resume();
    rig.kick(0);
    const auto next = offer(0);
    EXPECT_EQ(rig.wait_used(0), (test::UsedBuffer{next, 4}));
}

struct SetUpStateTest : testing::Test {
    ScriptedDevice device;
    DeviceRig rig{device};
    Registers& registers = rig.registers();
    // Bytes of the state: version, length, and from there the fields.
    static constexpr std::size_t kStatus = 6;
    static constexpr std::size_t kFeatures = 17;
    static constexpr std::size_t kQueues = 27;
};

TEST_F(SetUpStateTest, HalfNegotiatedDriverGoesOn) {
    rig.write_status(status::kAcknowledge | status::kDriver);
    ASSERT_TRUE(rig.negotiate());
    registers.set_queue_select(1);
    registers.set_queue_size(4);
    device.link->update_config_as_owner([] {});
    const auto generation = registers.config_generation();
    const State state = saved(registers);
    registers.ask_reset();

    ASSERT_EQ(restored(registers, state), "");

    EXPECT_EQ(rig.status(), kRunning & ~status::kDriverOk);
    EXPECT_EQ(registers.queue_select(), 1u);
    EXPECT_EQ(registers.queue_size(), 4u);
    EXPECT_EQ(registers.config_generation(), generation);
    EXPECT_EQ(device.activations, 0);
    EXPECT_EQ(test::half_taken_states(registers), 0u);
}

TEST_F(SetUpStateTest, BrokenDeviceStaysBrokenAndStartsNothing) {
    ASSERT_TRUE(rig.start());
    device.link->needs_reset();
    registers.ask_pause();
    const State state = saved(registers);
    registers.ask_reset();

    ASSERT_EQ(restored(registers, state), "");

    EXPECT_EQ(rig.status(), kRunning | status::kNeedsReset);
    EXPECT_EQ(device.activations, 1);
    rig.write_status(0);
    EXPECT_EQ(rig.status(), 0u);
    ASSERT_TRUE(rig.start());
    EXPECT_EQ(device.activations, 2);
}

TEST_F(SetUpStateTest, WhileADriverRunsNothingIsRestored) {
    const State state = saved(registers);
    ASSERT_TRUE(rig.start());

    EXPECT_THAT(restored(registers, state), HasSubstr("in use"));

    EXPECT_EQ(rig.status(), kRunning);
}

TEST_F(SetUpStateTest, WrongStateSaysWhatIsWrong) {
    const State fresh = saved(registers);
    const auto with = [&](std::size_t at, unsigned value) {
        State state = fresh;
        state.at(at) = std::byte{static_cast<unsigned char>(value)};
        return restored(registers, state);
    };

    EXPECT_THAT(with(kStatus, 0x20), HasSubstr("field 'status' has bits that are not kept"));
    EXPECT_THAT(with(kStatus, 0x04), HasSubstr("DRIVER_OK without FEATURES_OK"));
    EXPECT_THAT(with(kStatus, 0x08), HasSubstr("'driver features' are not those of this device"));
    EXPECT_THAT(with(kQueues, 3), HasSubstr("'number of queues' is not that of this device"));
    EXPECT_EQ(with(kFeatures, 0x55), "") << "before FEATURES_OK a driver may write anything";
}

TEST_F(SetUpStateTest, RingsThatAreNotRamAreAWrongState) {
    ASSERT_TRUE(rig.start());
    registers.ask_pause();
    State state = saved(registers);
    registers.ask_reset();
    state.at(kQueues + 2 + 4 + 7) = std::byte{0x80};  // the first queue's descriptors

    EXPECT_THAT(restored(registers, state), HasSubstr("are not those of rings in RAM"));

    EXPECT_EQ(rig.status(), 0u);
    EXPECT_EQ(device.activations, 1);
}

TEST_F(SetUpStateTest, UnknownFeatureIsAWrongState) {
    ASSERT_TRUE(rig.negotiate());
    State state = saved(registers);
    registers.ask_reset();
    state.at(kFeatures + 7) = std::byte{0x80};

    EXPECT_THAT(restored(registers, state), HasSubstr("'driver features'"));
}

}  // namespace
}  // namespace vmm::virtio
