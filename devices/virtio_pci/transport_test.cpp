#include "virtio_pci/transport.hpp"

#include <map>
#include <thread>
#include <vector>

#include "pci/bus.hpp"
#include "support/fake_doorbells.hpp"
#include "support/fake_io_bus.hpp"
#include "support/fake_msi.hpp"
#include "support/flat_guest_memory.hpp"
#include "support/recording_irq_line.hpp"
#include "support/virt_queue_driver.hpp"
#include "virtio_support/echo_device.hpp"
#include "virtio_support/scripted_device.hpp"

namespace vmm::virtio_pci {
namespace {

using test::RingKind;
using test::UsedBuffer;
using test::VirtQueueDriver;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr std::uint64_t kEcam = 0xb000'0000;
constexpr std::uint64_t kWindow = 0xc000'0000;
constexpr auto kByte = AccessSize::Byte;
constexpr auto kWord = AccessSize::Word;
constexpr auto kDword = AccessSize::Dword;
constexpr auto kQword = AccessSize::Qword;

// Common configuration, as a driver knows it. Spec: virtio 1.3, 4.1.4.3.
constexpr std::uint64_t kDeviceFeatureSelect = 0x00;
constexpr std::uint64_t kDeviceFeature = 0x04;
constexpr std::uint64_t kDriverFeatureSelect = 0x08;
constexpr std::uint64_t kDriverFeature = 0x0c;
constexpr std::uint64_t kConfigVector = 0x10;
constexpr std::uint64_t kNumQueues = 0x12;
constexpr std::uint64_t kStatus = 0x14;
constexpr std::uint64_t kGeneration = 0x15;
constexpr std::uint64_t kQueueSelect = 0x16;
constexpr std::uint64_t kQueueSize = 0x18;
constexpr std::uint64_t kQueueVector = 0x1a;
constexpr std::uint64_t kQueueEnable = 0x1c;
constexpr std::uint64_t kQueueNotifyOff = 0x1e;
constexpr std::uint64_t kQueueDesc = 0x20;
constexpr std::uint64_t kQueueDriver = 0x28;
constexpr std::uint64_t kQueueDevice = 0x30;
constexpr std::uint64_t kQueueNotifyData = 0x38;
constexpr std::uint64_t kQueueReset = 0x3a;

struct Structure {
    std::uint8_t at = 0;  // of the capability
    std::uint8_t length = 0;
    std::uint8_t bar = 0;
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
    std::uint32_t extra = 0;
};

/// A virtio function on a PCI bus in slot 1, and the guest's way to it.
template <class Body>
struct Machine {
    explicit Machine(Options options = {}) {
        transport = Transport::create(device, {memory, msi, &doorbells}, options).value();
        EXPECT_TRUE(bus.add(transport->function()));
        EXPECT_TRUE(bus.assign_addresses());
        EXPECT_TRUE(mmio.map(kEcam, pci::kEcamSize, bus.ecam()));
        find_structures();
    }

    static constexpr std::uint64_t config(unsigned offset) { return kEcam + 0x8000 + offset; }
    void find_structures() {
        unsigned at = mmio.read8(config(0x34));
        for (int i = 0; at != 0 && i < 48; ++i, at = mmio.read8(config(at + 1))) {
            if (mmio.read8(config(at)) != 0x09) {
                others.push_back(mmio.read8(config(at)));
                continue;
            }
            const auto length = mmio.read8(config(at + 2));
            structures[mmio.read8(config(at + 3))] = {
                .at = static_cast<std::uint8_t>(at),
                .length = length,
                .bar = mmio.read8(config(at + 4)),
                .offset = mmio.read32(config(at + 8)),
                .size = mmio.read32(config(at + 12)),
                .extra = length > 16 ? mmio.read32(config(at + 16)) : 0};
        }
    }
    void decode() { mmio.write16(config(4), 6); }

    // Register accesses, as drivers do them.
    std::uint64_t common(std::uint64_t offset) const {
        return bar + structures.at(1).offset + offset;
    }
    void select(std::uint16_t queue) { mmio.write16(common(kQueueSelect), queue); }
    void address(std::uint64_t at, Gpa value) {
        mmio.write32(common(at), static_cast<std::uint32_t>(value.value()));
        mmio.write32(common(at + 4), static_cast<std::uint32_t>(value.value() >> 32));
    }
    std::uint8_t status() { return mmio.read8(common(kStatus)); }
    void status(std::uint8_t to) { mmio.write8(common(kStatus), to); }
    void accept(std::uint64_t features) {
        mmio.write32(common(kDriverFeatureSelect), 0);
        mmio.write32(common(kDriverFeature), static_cast<std::uint32_t>(features));
        mmio.write32(common(kDriverFeatureSelect), 1);
        mmio.write32(common(kDriverFeature), static_cast<std::uint32_t>(features >> 32));
    }
    void set_up(std::uint16_t queue, VirtQueueDriver& driver) {
        select(queue);
        mmio.write16(common(kQueueSize), driver.size());
        address(kQueueDesc, driver.descriptors());
        address(kQueueDriver, driver.driver());
        address(kQueueDevice, driver.device());
        mmio.write16(common(kQueueEnable), 1);
    }
    /// Both queues with rings of 8, split or packed, then DRIVER_OK.
    void start(RingKind kind = RingKind::Split) {
        decode();
        status(3);
        accept(virtio::f::kVersion1 | virtio::f::kRingReset |
               (kind == RingKind::Packed ? virtio::f::kRingPacked : 0));
        status(11);
        queues.clear();
        for (std::uint16_t i = 0; i < 2; ++i) {
            queues.push_back(std::make_unique<VirtQueueDriver>(
                memory, Gpa{0x10000 + i * 0x4000u}, VirtQueueDriver::Options{.kind = kind}));
            set_up(i, *queues.back());
        }
        status(15);
    }
    std::uint64_t table(unsigned vector, unsigned offset) const {
        return bar + 0x3000 + vector * 16 + offset;
    }
    /// MSI-X on, vector n for queue n - 1, vector 0 for the configuration, all unmasked.
    void use_msix() {
        decode();
        for (unsigned i = 0; i < 3; ++i) {
            mmio.write32(table(i, 0), 0xfee0'0000);
            mmio.write32(table(i, 8), 0x40 + i);
            mmio.write32(table(i, 12), 0);
        }
        mmio.write16(config(0x42), 0x8000);
        mmio.write16(common(kConfigVector), 0);
        for (std::uint16_t i = 0; i < 2; ++i) {
            select(i);
            mmio.write16(common(kQueueVector), static_cast<std::uint16_t>(i + 1));
        }
    }
    std::uint64_t notify(std::uint64_t queue) const {
        return bar + structures.at(2).offset + queue * structures.at(2).extra;
    }
    std::uint8_t isr() { return mmio.read8(bar + structures.at(3).offset); }

    test::FlatGuestMemory memory{1 << 20};
    test::FakeMsiSink msi;
    test::FakeDoorbells doorbells;
    test::FakeIoBus mmio;
    test::FakeIoBus io;
    std::array<test::RecordingIrqLine, 4> lines;
    test::RecordingIrqLine& line = lines[1];  // slot 1, INTA
    pci::Bus bus{{.windows = {.memory32 = {kWindow, 0x1000'0000}},
                  .mmio = mmio,
                  .io = io,
                  .lines = {&lines[0], &lines[1], &lines[2], &lines[3]}}};
    Body device;
    std::unique_ptr<Transport> transport;
    std::map<int, Structure> structures;
    std::vector<int> others;
    std::uint64_t bar = kWindow;
    std::vector<std::unique_ptr<VirtQueueDriver>> queues;
};

struct VirtioPciTest : testing::Test {
    Machine<test::ScriptedDevice> m;
    test::FakeIoBus& mmio = m.mmio;
    test::ScriptedDevice& device = m.device;
    test::FakeMsiSink& msi = m.msi;

    /// The device uses a buffer of queue 0.
    void use_a_buffer() { use_a_buffer_of(0); }
    void use_a_buffer_of(std::uint16_t queue) {
        m.queues[queue]->add({{Gpa{0x80000}, 8, true}});
        ASSERT_TRUE(device.queues[queue].pop(chain));
        device.queues[queue].complete(chain.head(), 8);
        device.queues[queue].publish();
    }
    virtio::Chain chain;
};

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

    m.transport->reset();
    m.bus.reset();

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

    mmio.write16(m.config(4), 0);
    EXPECT_THAT(m.doorbells.connected, IsEmpty());
    m.decode();

    EXPECT_EQ(m.doorbells.connected.size(), 2u);
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

// Device configuration.

TEST_F(VirtioPciTest, ConfigurationTakesAnyWidth) {
    m.decode();
    const std::uint64_t at = m.bar + 0x1000;
    mmio.write32(at, 0x4433'2211);
    mmio.write8(at + 5, 0x66);

    EXPECT_EQ(mmio.read8(at + 1), 0x22u);
    EXPECT_EQ(mmio.read16(at + 1), 0x3322u);
    EXPECT_EQ(mmio.read(at, kQword), 0x0000'6600'4433'2211u);
}

TEST_F(VirtioPciTest, Row19ConfigurationEndsWhereItEnds) {
    m.decode();
    const std::uint64_t at = m.bar + 0x1000;

    mmio.write32(at + 22, 0);
    mmio.write(at + 0xff8, kQword, 0);

    EXPECT_EQ(mmio.read32(at + 22), 0xffff'ffffu);
    EXPECT_EQ(mmio.read8(at + 24), 0xffu);
    EXPECT_EQ(mmio.read(at + 0xff8, kQword), ~std::uint64_t{0});
    EXPECT_EQ(mmio.read16(at + 22), 0u);
}

// Widths. Spec: 4.1.3.1.

struct Wrong {
    std::uint64_t offset;
    AccessSize size;
};

struct VirtioPciWidthTest : VirtioPciTest, testing::WithParamInterface<Wrong> {};

TEST_P(VirtioPciWidthTest, Row27OtherWidthsReadAllOnesAndWriteNothing) {
    m.start();
    const auto [offset, size] = GetParam();
    const std::uint64_t ones = size == kQword
                                   ? ~std::uint64_t{0}
                                   : (std::uint64_t{1} << (8 * static_cast<unsigned>(size))) - 1;

    EXPECT_EQ(mmio.read(m.common(offset), size), ones);
    mmio.write(m.common(offset), size, 0);

    EXPECT_EQ(m.status(), 15u);
    EXPECT_EQ(mmio.read16(m.common(kQueueSelect)), 1u);
    EXPECT_EQ(mmio.read32(m.common(kDriverFeatureSelect)), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    All, VirtioPciWidthTest,
    testing::Values(Wrong{kStatus, kWord}, Wrong{kStatus, kDword}, Wrong{kStatus, kQword},
                    Wrong{kStatus + 1, kWord}, Wrong{kConfigVector, kByte},
                    Wrong{kConfigVector, kDword}, Wrong{kQueueSelect, kByte},
                    Wrong{kQueueSelect + 1, kByte}, Wrong{kQueueSelect, kDword},
                    Wrong{kQueueSelect - 1, kWord}, Wrong{kDriverFeatureSelect, kByte},
                    Wrong{kDriverFeatureSelect, kWord}, Wrong{kDriverFeatureSelect, kQword},
                    Wrong{kDriverFeatureSelect + 2, kDword}, Wrong{kQueueDesc, kQword},
                    Wrong{kQueueDesc, kWord}, Wrong{kQueueDesc + 2, kDword},
                    Wrong{kQueueReset, kDword}, Wrong{0x3c, kDword}, Wrong{0x38, kQword},
                    Wrong{0x40, kByte}, Wrong{0x7f8, kQword}));

TEST_F(VirtioPciTest, Row27IsrAndNotifyAndGapsWithOddWidths) {
    m.start();
    use_a_buffer();

    EXPECT_EQ(mmio.read16(m.bar + 0x800), 0xffffu);
    EXPECT_EQ(mmio.read32(m.bar + 0x800), 0xffff'ffffu);
    mmio.write8(m.bar + 0x800, 0);
    EXPECT_EQ(mmio.read32(m.bar + 0x2000), 0xffff'ffffu);
    EXPECT_EQ(mmio.read8(m.bar + 0x900), 0xffu);
    EXPECT_EQ(m.isr(), 1u);
}

TEST_F(VirtioPciTest, Row24TableAndPendingBitsAtTheirEnds) {
    m.decode();

    EXPECT_EQ(mmio.read32(m.table(3, 0)), 0xffff'ffffu);
    EXPECT_EQ(mmio.read32(m.bar + 0x37fc), 0xffff'ffffu);
    EXPECT_EQ(mmio.read32(m.bar + 0x3800), 0u);
    EXPECT_EQ(mmio.read32(m.bar + 0x3808), 0xffff'ffffu);
    EXPECT_EQ(mmio.read(m.bar + 0x3ff8, kQword), ~std::uint64_t{0});
    mmio.write(m.bar + 0x3800, kQword, 0);
    mmio.write(m.bar + 0x3ff8, kQword, 0);
}

// The window in configuration space. Spec: 4.1.4.9.

struct VirtioPciWindowTest : VirtioPciTest {
    unsigned at = m.structures[5].at;
    void aim(std::uint32_t offset, std::uint32_t length, std::uint8_t bar = 0) {
        mmio.write8(m.config(at + 4), bar);
        mmio.write32(m.config(at + 8), offset);
        mmio.write32(m.config(at + 12), length);
    }
};

TEST_F(VirtioPciWindowTest, ReadsAndWritesTheBarWithoutDecoding) {
    aim(kNumQueues, 2);
    EXPECT_EQ(mmio.read16(m.config(at + 16)), 2u);

    aim(kStatus, 1);
    mmio.write8(m.config(at + 16), 3);

    EXPECT_EQ(mmio.read8(m.config(at + 16)), 3u);
}

TEST_F(VirtioPciWindowTest, ReachesDriverOkAndItsDoorbells) {
    m.start();
    m.status(0);
    m.start();
    aim(kStatus, 1);

    mmio.write8(m.config(at + 16), 0);

    EXPECT_EQ(m.status(), 0u);
    EXPECT_THAT(m.doorbells.connected, IsEmpty());
}

TEST_F(VirtioPciWindowTest, NonsenseDoesNothing) {
    for (const std::uint32_t length : {0u, 3u, 5u, 8u, 0xffff'ffffu}) {
        aim(kStatus, length);
        mmio.write32(m.config(at + 16), 3);
    }
    aim(0xffff'fffc, 4);
    mmio.write32(m.config(at + 16), 3);
    aim(kQueueSelect - 1, 2);
    mmio.write32(m.config(at + 16), 3);
    aim(kStatus, 1, 1);
    mmio.write32(m.config(at + 16), 3);
    aim(kStatus, 1, 0xff);
    mmio.write32(m.config(at + 16), 3);
    m.decode();

    EXPECT_EQ(m.status(), 0u);
}

// From end to end, with an I/O thread, on both kinds of ring and both kinds of interrupt.

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
