// SPDX-License-Identifier: Apache-2.0
#include "virtio_pci/transport.hpp"

#include "virtio_pci/transport_rig.hpp"

namespace vmm::virtio_pci {
namespace {

// What a driver finds.

TEST_F(VirtioPciTest, IdentityIsAModernDevice) {
    EXPECT_EQ(mmio.read32(m.config(0)), 0x1044'1af4u);
    EXPECT_EQ(mmio.read8(m.config(8)), 1u);
    EXPECT_EQ(mmio.read32(m.config(0x2c)), 0x1100'1af4u);
    EXPECT_EQ(mmio.read8(m.config(0x3d)), 1u);
}

TEST_F(VirtioPciTest, AllStructuresAreInTheOneBar) {
    EXPECT_THAT(m.structures, testing::SizeIs(5));
    EXPECT_EQ(m.structures[1].offset, 0x0000u);
    EXPECT_EQ(m.structures[1].size, 0x3cu);
    EXPECT_EQ(m.structures[2].offset, 0x2000u);
    EXPECT_EQ(m.structures[2].size, 8u);
    EXPECT_EQ(m.structures[2].extra, 4u);
    EXPECT_EQ(m.structures[3].offset, 0x0800u);
    EXPECT_EQ(m.structures[3].size, 1u);
    EXPECT_EQ(m.structures[4].offset, 0x1000u);
    EXPECT_EQ(m.structures[4].size, 24u);
    EXPECT_EQ(m.structures[5].length, 20u);
    EXPECT_THAT(m.others, ElementsAre(0x11));
}

TEST(VirtioPciOptionsTest, ExpressCapabilityOnRequest) {
    Machine<test::ScriptedDevice> m{{.express = true}};

    EXPECT_THAT(m.others, ElementsAre(0x11, 0x10));
}

TEST(VirtioPciOptionsTest, ManyQueuesGetALargerTable) {
    test::ScriptedDevice device;
    device.sizes.assign(1024, 2);
    test::FlatGuestMemory memory{1 << 20};
    test::FakeMsiSink msi;

    const auto transport = Transport::create(device, {memory, msi}, {});

    ASSERT_TRUE(transport);
    EXPECT_EQ(msi.vectors.size(), 1025u);
    EXPECT_EQ((*transport)->function().bars()[0].shape.size, 0x10000u);
}

TEST(VirtioPciOptionsTest, WithoutVectorsItSaysWhy) {
    test::ScriptedDevice device;
    test::FlatGuestMemory memory{1 << 20};
    test::FakeMsiSink msi;
    msi.left = 0;

    const auto transport = Transport::create(device, {memory, msi}, {});

    ASSERT_FALSE(transport);
    EXPECT_THAT(transport.error().one_line(), testing::HasSubstr("allocate 3 MSI-X vectors"));
}

TEST_F(VirtioPciTest, RegistersReadAsTheyAreAfterReset) {
    m.decode();

    EXPECT_EQ(mmio.read32(m.common(kDeviceFeature)), 0x3000'0008u);
    EXPECT_EQ(mmio.read16(m.common(kConfigVector)), 0xffffu);
    EXPECT_EQ(mmio.read16(m.common(kNumQueues)), 2u);
    EXPECT_EQ(mmio.read8(m.common(kStatus)), 0u);
    EXPECT_EQ(mmio.read16(m.common(kQueueSize)), 64u);
    EXPECT_EQ(mmio.read16(m.common(kQueueVector)), 0xffffu);
    EXPECT_EQ(mmio.read16(m.common(kQueueEnable)), 0u);
    EXPECT_EQ(mmio.read32(m.common(kQueueDesc)), 0u);
    EXPECT_EQ(mmio.read16(m.common(kQueueNotifyData)), 0u);
    EXPECT_EQ(mmio.read16(m.common(kQueueReset)), 0u);
    m.select(1);
    EXPECT_EQ(mmio.read16(m.common(kQueueSize)), 8u);
    EXPECT_EQ(mmio.read16(m.common(kQueueNotifyOff)), 1u);
}

TEST_F(VirtioPciTest, AddressHalvesReadBackIndependently) {
    m.decode();
    mmio.write32(m.common(kQueueDriver + 4), 0x1122'3344);
    mmio.write32(m.common(kQueueDriver), 0x5566'7788);
    mmio.write32(m.common(kQueueDevice), 0x99);

    EXPECT_EQ(mmio.read32(m.common(kQueueDriver)), 0x5566'7788u);
    EXPECT_EQ(mmio.read32(m.common(kQueueDriver + 4)), 0x1122'3344u);
    EXPECT_EQ(mmio.read32(m.common(kQueueDevice)), 0x99u);
    EXPECT_EQ(mmio.read32(m.common(kQueueDesc)), 0u);
}

TEST_F(VirtioPciTest, ReadOnlyRegistersStayAsTheyAre) {
    m.decode();

    mmio.write32(m.common(kDeviceFeature), 0);
    mmio.write16(m.common(kNumQueues), 7);
    mmio.write8(m.common(kGeneration), 7);
    mmio.write16(m.common(kQueueNotifyOff), 7);
    mmio.write16(m.common(kQueueNotifyData), 7);

    EXPECT_EQ(mmio.read32(m.common(kDeviceFeature)), 0x3000'0008u);
    EXPECT_EQ(mmio.read16(m.common(kNumQueues)), 2u);
    EXPECT_EQ(mmio.read8(m.common(kGeneration)), 0u);
    EXPECT_EQ(mmio.read16(m.common(kQueueNotifyOff)), 0u);
    EXPECT_EQ(mmio.read16(m.common(kQueueNotifyData)), 0u);
}

// Interrupts.

TEST_F(VirtioPciTest, UsedBufferRaisesTheQueuesVector) {
    m.use_msix();
    m.start();

    use_a_buffer_of(1);

    EXPECT_EQ(msi.delivered(2), 1);
    EXPECT_EQ(msi.delivered(1), 0);
    EXPECT_FALSE(m.line.high);
    EXPECT_EQ(m.isr(), 0u);
}

TEST_F(VirtioPciTest, ConfigurationChangeRaisesItsVector) {
    m.use_msix();
    m.start();

    device.link->update_config([] {});

    EXPECT_EQ(msi.delivered(0), 1);
    EXPECT_EQ(mmio.read8(m.common(kGeneration)), 1u);
}

TEST_F(VirtioPciTest, QueuesMayShareAVector) {
    m.use_msix();
    m.start();
    m.select(1);
    mmio.write16(m.common(kQueueVector), 1);

    use_a_buffer_of(0);
    use_a_buffer_of(1);

    EXPECT_EQ(msi.delivered(1), 2);
}

TEST_F(VirtioPciTest, NoVectorMeansNoInterrupt) {
    m.use_msix();
    m.start();
    m.select(0);
    mmio.write16(m.common(kQueueVector), 0xffff);

    use_a_buffer();

    EXPECT_EQ(msi.delivered(0) + msi.delivered(1) + msi.delivered(2), 0);
    EXPECT_FALSE(m.line.high);
}

TEST_F(VirtioPciTest, Row03VectorBeyondTheTableReadsBackAsNoVector) {
    m.decode();

    mmio.write16(m.common(kQueueVector), 3);
    EXPECT_EQ(mmio.read16(m.common(kQueueVector)), 0xffffu);
    mmio.write16(m.common(kConfigVector), 0xfffe);
    EXPECT_EQ(mmio.read16(m.common(kConfigVector)), 0xffffu);
    mmio.write16(m.common(kQueueVector), 2);

    EXPECT_EQ(mmio.read16(m.common(kQueueVector)), 2u);
}

TEST_F(VirtioPciTest, Row03VectorOfAQueueThatIsNotThere) {
    m.decode();
    m.select(0xffff);

    mmio.write16(m.common(kQueueVector), 1);

    EXPECT_EQ(mmio.read16(m.common(kQueueVector)), 0xffffu);
    EXPECT_EQ(mmio.read16(m.common(kQueueNotifyOff)), 0u);
}

TEST_F(VirtioPciTest, WithoutMsixThePinTellsAndReadingIsrClears) {
    m.start();

    use_a_buffer();
    EXPECT_TRUE(m.line.high);
    EXPECT_EQ(mmio.read16(m.config(6)) & 8, 8);
    EXPECT_EQ(m.isr(), 1u);

    EXPECT_FALSE(m.line.high);
    EXPECT_EQ(m.isr(), 0u);
    device.link->update_config([] {});
    use_a_buffer();
    EXPECT_EQ(m.isr(), 3u);
}

TEST_F(VirtioPciTest, EnablingMsixLowersThePin) {
    m.start();
    use_a_buffer();
    ASSERT_TRUE(m.line.high);

    mmio.write16(m.config(0x42), 0x8000);
    EXPECT_FALSE(m.line.high);
    mmio.write16(m.config(0x42), 0);

    EXPECT_TRUE(m.line.high);
}

TEST_F(VirtioPciTest, InterruptWhileMaskedIsPendingAndComesOnUnmask) {
    m.use_msix();
    m.start();
    mmio.write32(m.table(1, 12), 1);

    use_a_buffer();
    EXPECT_EQ(msi.delivered(1), 0);
    EXPECT_EQ(mmio.read32(m.bar + 0x3800), 2u);
    mmio.write32(m.table(1, 12), 0);

    EXPECT_EQ(msi.delivered(1), 1);
    EXPECT_EQ(mmio.read32(m.bar + 0x3800), 0u);
}

TEST_F(VirtioPciTest, NeedsResetRaisesTheConfigurationVector) {
    m.use_msix();
    m.start();

    device.queues[0].fail();

    EXPECT_EQ(m.status(), 0x4fu);
    EXPECT_EQ(msi.delivered(0), 1);
}

// Reset.

TEST_F(VirtioPciTest, ResetForgetsVectorsAndIsr) {
    m.use_msix();
    m.start();
    m.status(0);

    EXPECT_EQ(m.status(), 0u);
    EXPECT_EQ(mmio.read16(m.common(kConfigVector)), 0xffffu);
    m.select(1);
    EXPECT_EQ(mmio.read16(m.common(kQueueVector)), 0xffffu);
    EXPECT_EQ(m.isr(), 0u);
}

TEST_F(VirtioPciTest, ResetLowersThePin) {
    m.start();
    use_a_buffer();

    m.status(0);

    EXPECT_FALSE(m.line.high);
}

TEST_F(VirtioPciTest, StatusIsNotZeroWhileTheDeviceDrains) {
    m.start();
    device.answers_at_once = false;

    m.status(0);
    EXPECT_EQ(m.status(), 15u);
    EXPECT_THAT(m.doorbells.connected, IsEmpty());
    device.link->reset_done();

    EXPECT_EQ(m.status(), 0u);
}

TEST_F(VirtioPciTest, MachineResetBringsEverythingBack) {
    m.use_msix();
    m.start();

    m.transport->ask_reset();
    ASSERT_TRUE(m.transport->released());
    m.transport->finish_reset();
    m.bridge.reset();

    EXPECT_EQ(device.resets, 1);
    EXPECT_FALSE(mmio.mapped(kWindow));
    m.use_msix();
    m.start();
    use_a_buffer();
    EXPECT_EQ(msi.delivered(1), 1);
}

// Doorbells.

TEST_F(VirtioPciTest, DoorbellsComeWithDriverOkAndGoWithReset) {
    m.decode();
    EXPECT_THAT(m.doorbells.connected, IsEmpty());

    m.start();
    EXPECT_THAT(m.doorbells.connected,
                ElementsAre(Pair(kWindow + 0x2000, device.queues[0].kick_event().fd()),
                            Pair(kWindow + 0x2004, device.queues[1].kick_event().fd())));
    m.status(0);

    EXPECT_THAT(m.doorbells.connected, IsEmpty());
    EXPECT_FALSE(m.doorbells.wrong);
}

TEST_F(VirtioPciTest, Row25DoorbellsMoveWithTheBar) {
    m.start();

    mmio.write32(m.config(0x10), kWindow + 0x10'0000);
    m.bar = kWindow + 0x10'0000;

    EXPECT_EQ(m.doorbells.connected.begin()->first, m.notify(0));
    EXPECT_TRUE(m.doorbells.ring(m.notify(1)));
    EXPECT_TRUE(device.queues[1].kick_event().drain());
    EXPECT_EQ(m.status(), 15u);
    EXPECT_FALSE(m.doorbells.wrong);
}

TEST_F(VirtioPciTest, Row25DoorbellsGoWhenTheBarIsNotDecoded) {
    m.start();

    mmio.write16(m.config(4), 4);  // bus master only
    EXPECT_THAT(m.doorbells.connected, IsEmpty());
    m.decode();

    EXPECT_EQ(m.doorbells.connected.size(), 2u);
}

// A kernel that starts another one takes the bit back where its drivers have no say.
TEST_F(VirtioPciTest, DriverThatTakesBusMasterBackIsLeftAlone) {
    m.start();

    mmio.write16(m.config(4), 2);

    EXPECT_EQ(device.resets, 1);
    EXPECT_EQ(m.status(), 0u);
    EXPECT_THAT(m.doorbells.connected, IsEmpty());

    m.start();
    EXPECT_EQ(m.status(), 15u);
    EXPECT_EQ(m.doorbells.connected.size(), 2u);
    EXPECT_EQ(device.resets, 1);
}

TEST_F(VirtioPciTest, DrainAfterBusMasterWentHoldsNobody) {
    m.start();
    device.answers_at_once = false;

    mmio.write16(m.config(4), 2);
    EXPECT_EQ(m.status(), 15u);  // until the device has let go
    device.link->reset_done();

    EXPECT_EQ(m.status(), 0u);
}

TEST_F(VirtioPciTest, DriverThatNeverSetBusMasterIsServed) {
    m.command = 2;
    m.start();

    mmio.write16(m.config(4), 0x402);

    EXPECT_EQ(m.status(), 15u);
}

TEST_F(VirtioPciTest, KickThroughTheBusWorksWithoutDoorbells) {
    m.doorbells.refuse = true;
    m.start();

    mmio.write16(m.notify(1), 1);

    EXPECT_TRUE(device.queues[1].kick_event().drain());
    EXPECT_FALSE(device.queues[0].kick_event().drain());
}

TEST_F(VirtioPciTest, Row03KicksForQueuesThatAreNotThereAreIgnored) {
    m.start();

    mmio.write16(m.notify(2), 2);
    mmio.write16(m.notify(0x3ff), 0xffff);
    mmio.write16(m.notify(0) + 2, 0);
    mmio.write8(m.notify(0) + 1, 0);

    EXPECT_FALSE(device.queues[0].kick_event().drain());
    EXPECT_FALSE(device.queues[1].kick_event().drain());
}

TEST_F(VirtioPciTest, KickBeforeDriverOkOrDuringResetIsIgnored) {
    m.decode();
    mmio.write16(m.notify(0), 0);
    m.start();
    EXPECT_FALSE(device.queues[0].kick_event().drain());

    device.answers_at_once = false;
    m.status(0);
    mmio.write16(m.notify(0), 0);

    EXPECT_FALSE(device.queues[0].kick_event().drain());
    device.link->reset_done();
}

TEST_F(VirtioPciTest, ResetQueueRunsAgainWithItsDoorbell) {
    m.start();
    m.select(0);

    mmio.write16(m.common(kQueueReset), 1);
    EXPECT_EQ(mmio.read16(m.common(kQueueReset)), 0u);
    EXPECT_EQ(mmio.read16(m.common(kQueueEnable)), 0u);
    m.set_up(0, *m.queues[0]);

    EXPECT_THAT(device.started, ElementsAre(0));
    EXPECT_TRUE(m.doorbells.ring(m.notify(0)));
    EXPECT_TRUE(device.queues[0].kick_event().drain());
}

struct VirtioPciTrafficTest : testing::TestWithParam<std::tuple<RingKind, bool>> {};

INSTANTIATE_TEST_SUITE_P(Kinds, VirtioPciTrafficTest,
                         testing::Combine(testing::Values(RingKind::Split, RingKind::Packed),
                                          testing::Bool()));

TEST_P(VirtioPciTrafficTest, EachKickIsAnsweredWithAnInterrupt) {
    const auto [kind, with_msix] = GetParam();
    Machine<test::EchoDevice> m;
    if (with_msix)
        m.use_msix();
    m.start(kind);
    for (std::uint32_t i = 0; i < 500; ++i) {
        ASSERT_TRUE(m.memory.write(Gpa{0x80000}, i));
        m.queues[0]->add({{Gpa{0x80000}, 4, false}, {Gpa{0x80100}, 4, true}});
        ASSERT_TRUE(m.doorbells.ring(m.notify(0)));
        if (with_msix)
            while (m.msi.delivered(1) <= static_cast<int>(i))
                std::this_thread::yield();
        else
            while (m.isr() == 0)
                std::this_thread::yield();
        ASSERT_TRUE(m.queues[0]->collect());
        ASSERT_EQ(m.memory.read<std::uint32_t>(Gpa{0x80100}), ~i);
    }
    m.status(0);
    while (m.status() != 0)
        std::this_thread::yield();
}

}  // namespace
}  // namespace vmm::virtio_pci
