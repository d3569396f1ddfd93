// SPDX-License-Identifier: Apache-2.0
// A guest's driver for a virtio PCI function with one split queue: its register accesses are made
// by a scripted vCPU, its rings lie in the machine's RAM.
//
// Threads: one, which waits for the vCPU where nothing else is said.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "fake/vm.hpp"
#include "pci/host_bridge.hpp"
#include "virtio_pci/transport.hpp"
#include "x86_64/layout.hpp"

namespace vmm::machine {

/// What a vCPU of hv/fake reads and writes for a test.
class ScriptedCpu {
public:
    ScriptedCpu(fake::Vm& vm, std::uint32_t apic_id) : vm_{vm}, apic_id_{apic_id} {}

    std::uint64_t read(std::uint64_t at, std::size_t size) {
        vm_.plan(apic_id_, {fake::MmioRead{Gpa{at}, size}});
        EXPECT_TRUE(vm_.vcpu(apic_id_)->wait_until_idle());
        std::uint64_t value = 0;
        std::memcpy(&value, vm_.vcpu(apic_id_)->answers().back().data(), size);
        return value;
    }
    void write(std::uint64_t at, std::uint64_t value, std::size_t size) {
        vm_.plan(apic_id_, {fake::MmioWrite{Gpa{at}, fake::little_endian(value, size)}});
        EXPECT_TRUE(vm_.vcpu(apic_id_)->wait_until_idle());
    }
    std::uint64_t config(pci::Address of, unsigned offset, std::size_t size) {
        return read(config_at(of, offset), size);
    }
    static std::uint64_t config_at(pci::Address of, unsigned offset) {
        return x86_64::kEcam.first.value() +
               (of.slot * pci::kFunctions + of.function) * std::uint64_t{0x1000} + offset;
    }
    fake::Vm& vm() { return vm_; }

private:
    fake::Vm& vm_;
    std::uint32_t apic_id_;
};

struct Piece {
    std::uint64_t at = 0;
    std::uint32_t length = 0;
    bool writable = false;  ///< by the device
};

class GuestDriver {
public:
    /// Uses 8 KiB of RAM from `rings`, a multiple of 4096.
    GuestDriver(ScriptedCpu& cpu, pci::Address where, std::uint64_t rings)
        : cpu_{cpu}, where_{where}, rings_{rings} {}

    /// From the first look at the function to DRIVER_OK.
    void start() {
        std::memset(ram(rings_), 0, 8192);
        added_ = 0;
        bar_ = cpu_.config(where_, 0x10, 4) & ~std::uint64_t{15};
        cpu_.write(ScriptedCpu::config_at(where_, 4), 6, 2);  // memory space, bus master
        common(kStatus, 0, 1);
        common(kStatus, 3, 1);
        common(kFeatureSelect, 1, 4);
        common(kFeature, 1, 4);  // VERSION_1
        common(kStatus, 0xb, 1);
        common(kQueueSelect, 0, 2);
        common(kQueueSize, kEntries, 2);
        for (unsigned area = 0; area < 3; ++area) {
            common(kQueueAddresses + 8 * area, area_at(area), 4);
            common(kQueueAddresses + 8 * area + 4, 0, 4);
        }
        common(kQueueEnable, 1, 2);
        common(kStatus, 0xf, 1);
    }
    /// Vector 0 of MSI-X gets a message and is unmasked. After start().
    void use_message(std::uint32_t data) {
        auto at = static_cast<unsigned>(cpu_.config(where_, 0x34, 1));
        while (cpu_.config(where_, at, 1) != 0x11)
            at = static_cast<unsigned>(cpu_.config(where_, at + 1, 1));
        cpu_.write(ScriptedCpu::config_at(where_, at + 2), 0x8000, 2);
        const std::uint64_t entry = bar_ + virtio_pci::layout::kMsix;
        cpu_.write(entry, 0xfee0'0000, 4);
        cpu_.write(entry + 8, data, 4);
        cpu_.write(entry + 12, 0, 4);
    }
    std::uint64_t status() { return cpu_.read(bar_ + kStatus, 1); }

    /// Makes a chain available, without a kick. Any thread, one at a time.
    void add(std::span<const Piece> chain) {
        const std::uint16_t head = static_cast<std::uint16_t>(added_ * 4 % kEntries);
        for (std::size_t i = 0; i < chain.size(); ++i) {
            const bool more = i + 1 < chain.size();
            const auto place = static_cast<std::uint16_t>(head + i);
            std::byte* const descriptor = ram(rings_ + 16u * place);
            put(descriptor, chain[i].at);
            put(descriptor + 8, chain[i].length);
            put(descriptor + 12,
                static_cast<std::uint16_t>((more ? 1 : 0) | (chain[i].writable ? 2 : 0)));
            put(descriptor + 14, static_cast<std::uint16_t>(place + 1));
        }
        put(ram(area_at(1) + 4 + 2u * (added_ % kEntries)), head);
        ++added_;
        index(area_at(1) + 2).store(added_, std::memory_order_release);
    }
    /// The write that kicks the queue.
    fake::Step kick_step() const {
        return fake::MmioWrite{Gpa{bar_ + virtio_pci::layout::kNotify}, fake::little_endian(0, 2)};
    }
    void kick() { cpu_.write(bar_ + virtio_pci::layout::kNotify, 0, 2); }
    /// How many chains the device has given back. Any thread.
    std::uint16_t used() const { return index(area_at(2) + 2).load(std::memory_order_acquire); }
    std::uint16_t added() const { return added_; }
    /// False if the device does not give back all of them in time.
    bool wait_until_used() const {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
        while (used() != added_ && std::chrono::steady_clock::now() < end)
            std::this_thread::yield();
        return used() == added_;
    }
    std::byte* ram(std::uint64_t at) const { return cpu_.vm().ram().at(0).host + at; }

private:
    // Common configuration. Spec: virtio 1.3, 4.1.4.3.
    static constexpr std::uint64_t kFeatureSelect = 0x08;
    static constexpr std::uint64_t kFeature = 0x0c;
    static constexpr std::uint64_t kStatus = 0x14;
    static constexpr std::uint64_t kQueueSelect = 0x16;
    static constexpr std::uint64_t kQueueSize = 0x18;
    static constexpr std::uint64_t kQueueEnable = 0x1c;
    static constexpr std::uint64_t kQueueAddresses = 0x20;
    static constexpr std::uint16_t kEntries = 32;

    void common(std::uint64_t offset, std::uint64_t value, std::size_t size) {
        cpu_.write(bar_ + offset, value, size);
    }
    /// Descriptors, driver's ring, device's ring.
    std::uint64_t area_at(unsigned area) const {
        return rings_ + std::array<std::uint64_t, 3>{0, 2048, 4096}.at(area);
    }
    std::atomic_ref<std::uint16_t> index(std::uint64_t at) const {
        return std::atomic_ref{*reinterpret_cast<std::uint16_t*>(ram(at))};
    }
    template <class T>
    static void put(std::byte* at, T value) {
        std::memcpy(at, &value, sizeof value);
    }

    ScriptedCpu& cpu_;
    pci::Address where_;
    std::uint64_t rings_;
    std::uint64_t bar_ = 0;
    std::uint16_t added_ = 0;
};

}  // namespace vmm::machine
