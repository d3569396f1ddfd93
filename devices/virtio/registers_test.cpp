// SPDX-License-Identifier: Apache-2.0
#include "virtio/registers.hpp"

#include <thread>

#include "virtio_support/device_rig.hpp"
#include "virtio_support/echo_device.hpp"
#include "virtio_support/scripted_device.hpp"

namespace vmm::virtio {
namespace {

using test::DeviceRig;
using test::EchoDevice;
using test::kRunning;
using test::kUpToFeaturesOk;
using test::RingKind;
using test::ScriptedDevice;
using test::UsedBuffer;
using testing::ElementsAre;

using Area = Registers::Area;
using Half = Registers::Half;

struct RegistersTest : testing::Test {
    ScriptedDevice device;
    DeviceRig rig{device};
    Registers& registers = rig.registers();
};

// Features.

TEST_F(RegistersTest, OffersItsOwnAndTheCommonFeatures) {
    EXPECT_EQ(rig.offered(), 0x0000'0105'3000'0008u);
}

TEST_F(RegistersTest, OffersPackedOnlyIfConfigured) {
    ScriptedDevice other;
    test::CountingTransport transport{2};
    const auto plain = Registers::create(other, rig.memory(), transport, {.packed = false}).value();

    plain->set_device_feature_select(1);

    EXPECT_EQ(plain->device_feature(), 0x0000'0101u);
}

TEST_F(RegistersTest, FeatureWordsBeyondTheSecondAreEmpty) {
    registers.set_device_feature_select(2);
    registers.set_driver_feature_select(0xffff'ffff);
    registers.set_driver_feature(~0u);

    EXPECT_EQ(registers.device_feature(), 0u);
    EXPECT_EQ(registers.driver_feature(), 0u);
    registers.set_driver_feature_select(0);
    EXPECT_EQ(registers.driver_feature(), 0u);
}

TEST_F(RegistersTest, FeaturesOkIsRefusedForAFeatureNobodyOffered) {
    rig.accept(f::kVersion1 | feature(5));

    rig.write_status(kUpToFeaturesOk);

    EXPECT_EQ(rig.status(), status::kAcknowledge | status::kDriver);
}

TEST_F(RegistersTest, FeaturesOkIsRefusedWithoutVersion1) {
    rig.accept(feature(3));

    rig.write_status(kUpToFeaturesOk);

    EXPECT_EQ(rig.status(), status::kAcknowledge | status::kDriver);
}

TEST_F(RegistersTest, FeaturesOkIsRefusedIfTheDeviceDoesNotAgree) {
    device.agrees = false;
    rig.accept(f::kVersion1);

    rig.write_status(kUpToFeaturesOk);

    EXPECT_EQ(rig.status(), status::kAcknowledge | status::kDriver);
}

TEST_F(RegistersTest, FeaturesOkIsRefusedWithoutAccessPlatformWhereItIsDemanded) {
    ScriptedDevice other;
    test::CountingTransport transport{2};
    const auto strict =
        Registers::create(other, rig.memory(), transport, {.access_platform = true}).value();
    strict->set_driver_feature_select(1);
    strict->set_driver_feature(1);
    strict->set_device_status(kUpToFeaturesOk);
    EXPECT_EQ(strict->device_status() & status::kFeaturesOk, 0);

    strict->set_driver_feature(3);
    strict->set_device_status(kUpToFeaturesOk);

    EXPECT_EQ(strict->device_status(), kUpToFeaturesOk);
}

TEST_F(RegistersTest, DriverMayTryAgainWithFewerFeatures) {
    rig.accept(f::kVersion1 | feature(5));
    rig.write_status(kUpToFeaturesOk);

    rig.accept(f::kVersion1);
    rig.write_status(kUpToFeaturesOk);

    EXPECT_EQ(rig.status(), kUpToFeaturesOk);
}

TEST_F(RegistersTest, FeaturesAreFrozenAfterFeaturesOk) {
    rig.accept(f::kVersion1);
    rig.write_status(kUpToFeaturesOk);

    rig.accept(~std::uint64_t{0});

    registers.set_driver_feature_select(0);
    EXPECT_EQ(registers.driver_feature(), 0u);
}

TEST_F(RegistersTest, Row20DeviceSeesWhatWasAcceptedNotWhatWasOffered) {
    rig.accept(f::kVersion1);
    rig.write_status(kUpToFeaturesOk);
    rig.write_status(kRunning);

    EXPECT_EQ(device.features_seen, f::kVersion1);
}

// Status.

TEST_F(RegistersTest, DriverOkNeedsFeaturesOk) {
    rig.write_status(status::kAcknowledge | status::kDriver | status::kDriverOk);

    EXPECT_EQ(rig.status(), status::kAcknowledge | status::kDriver);
    EXPECT_EQ(device.activations, 0);
}

TEST_F(RegistersTest, DriverOkActivatesOnce) {
    ASSERT_TRUE(rig.start());

    rig.write_status(kRunning);

    EXPECT_EQ(device.activations, 1);
    EXPECT_EQ(device.queues.size(), 2u);
    EXPECT_TRUE(device.queues[0].enabled());
    EXPECT_EQ(device.queues[0].size(), 64u);
}

TEST_F(RegistersTest, BitsCannotBeTakenAwayOneByOne) {
    ASSERT_TRUE(rig.start());

    rig.write_status(status::kAcknowledge);

    EXPECT_EQ(rig.status(), kRunning);
}

TEST_F(RegistersTest, NeedsResetAndReservedBitsCannotBeSetByTheDriver) {
    rig.write_status(0x40 | 0x30 | status::kAcknowledge);

    EXPECT_EQ(rig.status(), status::kAcknowledge);
}

TEST_F(RegistersTest, NeedsResetShowsAndInterruptsOnceUntilReset) {
    ASSERT_TRUE(rig.start());

    device.link->needs_reset();
    device.link->needs_reset();
    EXPECT_EQ(rig.status(), kRunning | status::kNeedsReset);
    EXPECT_EQ(rig.config_interrupts(), 1);
    ASSERT_TRUE(rig.reset());

    ASSERT_TRUE(rig.start());
    EXPECT_EQ(rig.status(), kRunning);
}

TEST_F(RegistersTest, DisabledQueuesAreLeftAlone) {
    ASSERT_TRUE(rig.negotiate());
    rig.set_up_queue(1);
    rig.write_status(kRunning);

    EXPECT_FALSE(device.queues[0].enabled());
    EXPECT_TRUE(device.queues[1].enabled());
    EXPECT_FALSE(registers.running(0));
    EXPECT_TRUE(registers.running(1));
    EXPECT_FALSE(registers.running(0xffff));
}

// Reset.

TEST_F(RegistersTest, ResetReadsNonZeroUntilTheDeviceHasLetGo) {
    ASSERT_TRUE(rig.start());
    device.answers_at_once = false;

    rig.write_status(0);
    EXPECT_NE(rig.status(), 0);
    EXPECT_FALSE(registers.running(0));
    rig.write_status(0);
    EXPECT_NE(rig.status(), 0);
    EXPECT_EQ(device.resets, 1);
    EXPECT_EQ(rig.transport().released, 0);
    device.link->reset_done();

    EXPECT_EQ(rig.status(), 0);
    EXPECT_EQ(rig.transport().released, 1);
    EXPECT_EQ(device.activations, 1);
}

TEST_F(RegistersTest, ResetClearsEverythingTheDriverWrote) {
    ASSERT_TRUE(rig.start());

    ASSERT_TRUE(rig.reset());

    registers.set_queue_select(1);
    EXPECT_EQ(registers.queue_size(), 8u);
    EXPECT_FALSE(registers.queue_enable());
    EXPECT_EQ(registers.queue_address(Area::Descriptors, Half::Low), 0u);
    EXPECT_EQ(registers.driver_feature(), 0u);
    EXPECT_FALSE(device.queues[0].enabled());
}

TEST_F(RegistersTest, ResetBeforeDriverOkDoesNotReachTheDevice) {
    ASSERT_TRUE(rig.negotiate());

    rig.write_status(0);

    EXPECT_EQ(rig.status(), 0);
    EXPECT_EQ(device.resets, 0);
}

TEST_F(RegistersTest, ConfigurationIsThereWhileDraining) {
    device.config_bytes[0] = 0x5a;
    ASSERT_TRUE(rig.start());
    device.answers_at_once = false;
    rig.write_status(0);

    EXPECT_EQ(rig.config<std::uint8_t>(0), 0x5a);
    rig.write_config<std::uint8_t>(0, 1);

    EXPECT_EQ(rig.config<std::uint8_t>(0), 1);
    device.link->reset_done();
}

TEST_F(RegistersTest, MachineResetWaitsForTheDevice) {
    ASSERT_TRUE(rig.start());
    device.answers_at_once = false;
    std::thread io{[&] {
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
        // It may still change the configuration space before it lets go.
        device.link->update_config([&] { device.config_bytes[1] = 1; });
        device.link->reset_done();
    }};

    registers.reset_and_wait();

    EXPECT_EQ(rig.status(), 0);
    io.join();
}

// Queue configuration. Rows are those of the list of what went wrong elsewhere.

TEST_F(RegistersTest, Row01NoQueueRegisterChangesAfterDriverOk) {
    ASSERT_TRUE(rig.start());
    registers.set_queue_select(0);
    const std::uint32_t before = registers.queue_address(Area::Descriptors, Half::Low);

    registers.set_queue_size(8);
    registers.set_queue_address(Area::Descriptors, Half::Low, 0x1000);
    registers.set_queue_address(Area::Device, Half::High, 1);
    registers.set_queue_enable(0);

    EXPECT_EQ(registers.queue_size(), 64u);
    EXPECT_EQ(registers.queue_address(Area::Descriptors, Half::Low), before);
    EXPECT_EQ(registers.queue_address(Area::Device, Half::High), 0u);
    EXPECT_TRUE(registers.queue_enable());
    EXPECT_EQ(device.queues[0].size(), 64u);
}

TEST_F(RegistersTest, Row01DisabledQueuesAreFrozenAfterDriverOkToo) {
    ASSERT_TRUE(rig.negotiate());
    rig.write_status(kRunning);
    registers.set_queue_select(1);

    registers.set_queue_size(4);
    registers.set_queue_address(Area::Driver, Half::Low, 0x1000);
    registers.set_queue_enable(1);

    EXPECT_EQ(registers.queue_size(), 8u);
    EXPECT_EQ(registers.queue_address(Area::Driver, Half::Low), 0u);
    EXPECT_FALSE(registers.queue_enable());
}

TEST_F(RegistersTest, Row01EnabledQueueIsFrozenBeforeDriverOk) {
    ASSERT_TRUE(rig.negotiate());
    rig.set_up_queue(0);
    registers.set_queue_select(0);

    registers.set_queue_size(4);

    EXPECT_EQ(registers.queue_size(), 64u);
}

TEST_F(RegistersTest, Row01EverythingIsFrozenAfterFailed) {
    ASSERT_TRUE(rig.negotiate());
    rig.write_status(status::kFailed);
    registers.set_queue_select(0);

    registers.set_queue_size(4);
    registers.set_queue_address(Area::Driver, Half::Low, 0x1000);
    registers.set_queue_enable(1);
    rig.write_status(kRunning);

    EXPECT_EQ(registers.queue_size(), 64u);
    EXPECT_FALSE(registers.queue_enable());
    EXPECT_EQ(rig.status(), kUpToFeaturesOk | status::kFailed);
    ASSERT_TRUE(rig.reset());
    EXPECT_TRUE(rig.start());
}

TEST_F(RegistersTest, Row01EnableIsRefusedBeforeFeaturesOk) {
    registers.set_queue_select(0);

    registers.set_queue_enable(1);

    EXPECT_FALSE(registers.queue_enable());
}

TEST_F(RegistersTest, Row01RingsThatAreNotRamNeedResetAtDriverOk) {
    ASSERT_TRUE(rig.negotiate());
    registers.set_queue_select(0);
    registers.set_queue_address(Area::Descriptors, Half::High, 0xffff'ffff);
    registers.set_queue_enable(1);

    rig.write_status(kRunning);

    EXPECT_EQ(rig.status(), kRunning | status::kNeedsReset);
    EXPECT_EQ(device.activations, 0);
    ASSERT_TRUE(rig.reset());
    EXPECT_TRUE(rig.start());
    EXPECT_EQ(rig.status(), kRunning);
}

TEST_F(RegistersTest, Row02SizesOutsideOfTheLimitsAreIgnored) {
    registers.set_queue_select(1);

    registers.set_queue_size(16);
    EXPECT_EQ(registers.queue_size(), 8u);
    registers.set_queue_size(0);
    EXPECT_EQ(registers.queue_size(), 8u);
    registers.set_queue_size(0xffff);
    EXPECT_EQ(registers.queue_size(), 8u);
    registers.set_queue_size(4);
    EXPECT_EQ(registers.queue_size(), 4u);
}

TEST_F(RegistersTest, Row02OddSizesAreForPackedRingsOnly) {
    rig.accept(f::kVersion1);
    registers.set_queue_select(0);
    registers.set_queue_size(5);
    EXPECT_EQ(registers.queue_size(), 64u);

    rig.accept(f::kVersion1 | f::kRingPacked);
    registers.set_queue_size(5);

    EXPECT_EQ(registers.queue_size(), 5u);
}

TEST_F(RegistersTest, Row02OddSizeFromBeforeTheFeaturesWereKnownNeedsReset) {
    rig.accept(f::kVersion1 | f::kRingPacked);
    registers.set_queue_select(0);
    registers.set_queue_size(5);
    rig.accept(f::kVersion1);
    rig.write_status(kUpToFeaturesOk);
    registers.set_queue_enable(1);

    rig.write_status(kRunning);

    EXPECT_EQ(rig.status(), kRunning | status::kNeedsReset);
}

TEST_F(RegistersTest, Row03SelectBeyondTheQueuesReadsZeroAndWritesNothing) {
    for (const unsigned number : {2u, 3u, 0x7fffu, 0xffffu}) {
        const auto select = static_cast<std::uint16_t>(number);
        registers.set_queue_select(select);
        registers.set_queue_size(4);
        registers.set_queue_address(Area::Device, Half::High, 7);
        registers.set_queue_enable(1);
        registers.set_queue_reset(1);

        EXPECT_EQ(registers.queue_select(), select);
        EXPECT_EQ(registers.queue_size(), 0u);
        EXPECT_EQ(registers.queue_address(Area::Device, Half::High), 0u);
        EXPECT_FALSE(registers.queue_enable());
        EXPECT_FALSE(registers.queue_reset());
        EXPECT_FALSE(registers.queue_selected());
    }
}

// RING_RESET.

TEST_F(RegistersTest, ResetQueueCanBeSetUpAgainWithAnotherSize) {
    ASSERT_TRUE(rig.start());

    ASSERT_TRUE(rig.reset_queue(0));
    EXPECT_FALSE(device.queues[0].enabled());
    EXPECT_TRUE(device.queues[1].enabled());
    registers.set_queue_select(0);
    registers.set_queue_size(16);
    rig.set_up_queue(0);

    EXPECT_THAT(device.stopped, ElementsAre(0));
    EXPECT_THAT(device.started, ElementsAre(0));
    EXPECT_EQ(device.queues[0].size(), 16u);
    EXPECT_TRUE(registers.running(0));
}

TEST_F(RegistersTest, QueueResetReadsOneUntilTheDeviceHasLetGo) {
    ASSERT_TRUE(rig.start());
    device.answers_at_once = false;
    registers.set_queue_select(1);

    registers.set_queue_reset(1);
    registers.set_queue_reset(1);
    registers.set_queue_enable(1);
    registers.settle();
    EXPECT_TRUE(registers.queue_reset());
    EXPECT_TRUE(registers.queue_enable());
    device.link->queue_stopped(1);
    registers.settle();

    EXPECT_FALSE(registers.queue_reset());
    EXPECT_FALSE(registers.queue_enable());
    EXPECT_THAT(device.stopped, ElementsAre(1));
    EXPECT_EQ(device.started.size(), 0u);
    device.answers_at_once = true;
}

TEST_F(RegistersTest, ResetQueueWithBadRingsNeedsReset) {
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.reset_queue(0));
    registers.set_queue_select(0);
    registers.set_queue_address(Area::Driver, Half::High, 1);

    registers.set_queue_enable(1);

    EXPECT_EQ(rig.status(), kRunning | status::kNeedsReset);
    EXPECT_EQ(device.started.size(), 0u);
}

TEST_F(RegistersTest, DeviceResetDuringAQueueResetWins) {
    ASSERT_TRUE(rig.start());
    device.answers_at_once = false;
    registers.set_queue_select(1);
    registers.set_queue_reset(1);

    rig.write_status(0);
    device.link->reset_done();

    EXPECT_EQ(rig.status(), 0);
    EXPECT_FALSE(registers.queue_reset());
}

TEST_F(RegistersTest, QueueResetWithoutTheFeatureIsIgnored) {
    ScriptedDevice other;
    DeviceRig plain{other, {.without = f::kRingReset}};
    ASSERT_TRUE(plain.start());
    plain.registers().set_queue_select(0);

    plain.registers().set_queue_reset(1);

    EXPECT_TRUE(plain.registers().queue_enable());
    EXPECT_EQ(other.stopped.size(), 0u);
}

// Configuration space.

TEST_F(RegistersTest, Row19ConfigurationOutsideOfItsSizeReadsAllOnes) {
    EXPECT_EQ(rig.config<std::uint32_t>(22), 0xffff'ffffu);
    EXPECT_EQ(rig.config<std::uint8_t>(24), 0xffu);
    EXPECT_EQ(rig.config<std::uint64_t>(0xffff'fff8), ~std::uint64_t{0});

    rig.write_config<std::uint32_t>(22, 0);
    rig.write_config<std::uint64_t>(0xffff'fffc, 0);
    rig.write_config<std::uint16_t>(20, 0x1234);

    EXPECT_EQ(rig.config<std::uint32_t>(20), 0x1234u);
}

TEST_F(RegistersTest, ConfigurationChangeIsANewGenerationAndAnInterrupt) {
    const auto before = registers.config_generation();
    device.link->update_config_as_owner([&] { device.config_bytes[0] = 9; });
    EXPECT_EQ(rig.config_interrupts(), 0);  // no driver yet
    EXPECT_NE(registers.config_generation(), before);

    ASSERT_TRUE(rig.start());
    device.link->update_config([&] { device.config_bytes[0] = 10; });

    EXPECT_EQ(rig.config_interrupts(), 1);
    EXPECT_EQ(rig.config<std::uint8_t>(0), 10);
}

// With a real I/O thread.

struct RegistersWorkerTest : testing::TestWithParam<RingKind> {
    EchoDevice device;
    DeviceRig rig{device, {.kind = GetParam()}};

    std::optional<UsedBuffer> echo(std::uint16_t queue, std::uint32_t value, Gpa to) {
        rig.queue(queue).add({{rig.put_value(value), 4}, {to, 4, true}});
        rig.kick(queue);
        return rig.wait_used(queue);
    }
};

INSTANTIATE_TEST_SUITE_P(Kinds, RegistersWorkerTest,
                         testing::Values(RingKind::Split, RingKind::Packed));

TEST_P(RegistersWorkerTest, KickIsServed) {
    ASSERT_TRUE(rig.start());
    const Gpa to = rig.room(4);

    const auto used = echo(1, 0x1234'5678, to);

    ASSERT_TRUE(used);
    EXPECT_EQ(used->length, 4u);
    EXPECT_EQ(rig.memory().read<std::uint32_t>(to), 0xedcb'a987u);
    EXPECT_TRUE(rig.interrupted(1));
    EXPECT_EQ(rig.interrupts(1), 1);
    EXPECT_EQ(rig.interrupts(0), 0);
}

TEST_P(RegistersWorkerTest, ChainsFromBeforeDriverOkNeedNoKick) {
    ASSERT_TRUE(rig.negotiate());
    rig.set_up_queue(0);
    rig.queue(0).add({{rig.put("x"), 1}, {rig.room(1), 1, true}});

    rig.write_status(kRunning);

    EXPECT_TRUE(rig.wait_used(0));
}

TEST_P(RegistersWorkerTest, RunsAgainAfterEachReset) {
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(rig.start());
        ASSERT_TRUE(echo(0, 1, rig.room(4)));
        ASSERT_TRUE(rig.reset());
    }
}

TEST_P(RegistersWorkerTest, RunsAgainWithoutWaitingForTheReset) {
    ASSERT_TRUE(rig.start());
    for (std::uint32_t i = 0; i < 100; ++i) {
        const Gpa to = rig.room(4);
        rig.write_status(0);
        ASSERT_TRUE(rig.start()) << i;
        // The one kick, perhaps before anything runs.
        ASSERT_TRUE(echo(0, i, to)) << i;
        ASSERT_EQ(rig.memory().read<std::uint32_t>(to), ~i);
    }
}

TEST_P(RegistersWorkerTest, QueueResetLeavesTheOtherQueueRunning) {
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(echo(0, 1, rig.room(4)));

    ASSERT_TRUE(rig.reset_queue(0));
    EXPECT_TRUE(echo(1, 1, rig.room(4)));
    rig.set_up_queue(0);

    EXPECT_TRUE(echo(0, 2, rig.room(4)));
}

TEST_P(RegistersWorkerTest, Row05BrokenRingIsLeftAloneUntilReset) {
    ASSERT_TRUE(rig.start());
    if (GetParam() == RingKind::Split)
        rig.queue(0).poke_avail_index(0x7000);
    else
        rig.queue(0).offer_endless_chain();
    rig.kick(0);

    EXPECT_TRUE(
        DeviceRig::wait_until([&] { return rig.status() == (kRunning | status::kNeedsReset); }));
    EXPECT_TRUE(DeviceRig::wait_until([&] { return rig.config_interrupts() == 1; }));
    ASSERT_TRUE(rig.reset());
    ASSERT_TRUE(rig.start());
    EXPECT_TRUE(echo(0, 1, rig.room(4)));
}

TEST_P(RegistersWorkerTest, ResetRightAfterDriverOkLosesNothing) {
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(rig.start());
        rig.queue(0).add({{rig.put("x"), 1}, {rig.room(1), 1, true}});
        rig.kick(0);
        ASSERT_TRUE(rig.reset()) << i;
    }
}

}  // namespace
}  // namespace vmm::virtio
