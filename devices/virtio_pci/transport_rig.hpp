// SPDX-License-Identifier: Apache-2.0
// What the tests of the transport share: a driver that finds the function on a bus and drives it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "pci/host_bridge.hpp"
#include "support/fake_doorbells.hpp"
#include "support/fake_io_bus.hpp"
#include "support/fake_memory_layout.hpp"
#include "support/fake_msi.hpp"
#include "support/flat_guest_memory.hpp"
#include "support/recording_irq_line.hpp"
#include "support/virt_queue_driver.hpp"
#include "virtio_pci/transport.hpp"
#include "virtio_support/echo_device.hpp"
#include "virtio_support/scripted_device.hpp"

namespace vmm::virtio_pci {

using test::RingKind;
using test::UsedBuffer;
using test::VirtQueueDriver;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

inline constexpr std::uint64_t kEcam = 0xb000'0000;
inline constexpr std::uint64_t kWindow = 0xc000'0000;
inline constexpr std::uint64_t kWindow64 = 0x10'0000'0000;
inline constexpr std::uint64_t kPorts = 0x1000;
inline constexpr auto kByte = AccessSize::Byte;
inline constexpr auto kWord = AccessSize::Word;
inline constexpr auto kDword = AccessSize::Dword;
inline constexpr auto kQword = AccessSize::Qword;

// Common configuration, as a driver knows it. Spec: virtio 1.3, 4.1.4.3.
inline constexpr std::uint64_t kDeviceFeatureSelect = 0x00;
inline constexpr std::uint64_t kDeviceFeature = 0x04;
inline constexpr std::uint64_t kDriverFeatureSelect = 0x08;
inline constexpr std::uint64_t kDriverFeature = 0x0c;
inline constexpr std::uint64_t kConfigVector = 0x10;
inline constexpr std::uint64_t kNumQueues = 0x12;
inline constexpr std::uint64_t kStatus = 0x14;
inline constexpr std::uint64_t kGeneration = 0x15;
inline constexpr std::uint64_t kQueueSelect = 0x16;
inline constexpr std::uint64_t kQueueSize = 0x18;
inline constexpr std::uint64_t kQueueVector = 0x1a;
inline constexpr std::uint64_t kQueueEnable = 0x1c;
inline constexpr std::uint64_t kQueueNotifyOff = 0x1e;
inline constexpr std::uint64_t kQueueDesc = 0x20;
inline constexpr std::uint64_t kQueueDriver = 0x28;
inline constexpr std::uint64_t kQueueDevice = 0x30;
inline constexpr std::uint64_t kQueueNotifyData = 0x38;
inline constexpr std::uint64_t kQueueReset = 0x3a;

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
    using Ram = std::shared_ptr<test::FlatGuestMemory>;

    /// With RAM of its own, or that of another one.
    explicit Machine(Options options = {}, const std::function<void(Body&)>& prepare = {},
                     Ram shared_ram = {})
        : ram{shared_ram ? std::move(shared_ram)
                         : std::make_shared<test::FlatGuestMemory>(1 << 20)} {
        if (prepare)
            prepare(device);
        transport =
            Transport::create(device, {memory, msi, &doorbells, &released}, options).value();
        EXPECT_TRUE(bridge.add(transport->function()));
        EXPECT_TRUE(bridge.assign_addresses());
        EXPECT_TRUE(mmio.map(kEcam, pci::kEcamSize, bridge.ecam()));
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
    void decode() { mmio.write16(config(4), command); }

    // Register accesses, as drivers do them.
    std::uint64_t common(std::uint64_t offset) const {
        return bar + structures.at(1).offset + offset;
    }
    void select(std::uint16_t queue) { mmio.write16(common(kQueueSelect), queue); }
    void address(std::uint64_t at, Gpa value) {
        if (wide_stores) {
            mmio.write(common(at), kQword, value.value());
            return;
        }
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

    Ram ram;
    test::FlatGuestMemory& memory = *ram;
    test::FakeMsiSink msi;
    test::FakeDoorbells doorbells;
    EventFd released = EventFd::create().value();
    test::FakeIoBus mmio;
    test::FakeIoBus io;
    std::array<test::RecordingIrqLine, 4> lines;
    test::RecordingIrqLine& line = lines[1];  // slot 1, INTA
    Body device;
    std::unique_ptr<Transport> transport;
    test::FakeMemoryLayout layout;
    pci::HostBridge bridge{{.windows = {.io = {kPorts, 0x1000},
                                        .memory32 = {kWindow, 0x1000'0000},
                                        .memory64 = {kWindow64, 0x10'0000'0000}},
                            .mmio = mmio,
                            .io = io,
                            .memory = &layout,
                            .lines = {&lines[0], &lines[1], &lines[2], &lines[3]}}};
    std::map<int, Structure> structures;
    std::vector<int> others;
    std::uint64_t bar = kWindow;
    bool wide_stores = false;   ///< 64-bit registers with one access
    std::uint16_t command = 6;  ///< what the driver writes there: memory, bus master
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

}  // namespace vmm::virtio_pci
