// SPDX-License-Identifier: Apache-2.0
// A host bridge between fake buses, and a function for its first slot.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "pci/host_bridge.hpp"
#include "support/fake_io_bus.hpp"
#include "support/recording_irq_line.hpp"

namespace vmm::pci {

inline constexpr std::uint64_t kEcam = 0xb000'0000;
inline constexpr std::uint64_t kMem32 = 0xc000'0000;
inline constexpr std::uint64_t kMem64 = 0x10'0000'0000;
inline constexpr Windows kWindows{.io = {0x1000, 0xf000},
                                  .memory32 = {kMem32, 0x1000'0000},
                                  .memory64 = {kMem64, 0x10'0000'0000}};
inline constexpr Identity kCard{.vendor = 0x1234,
                                .device = 0x5678,
                                .subsystem_vendor = 0x9abc,
                                .subsystem = 0xdef0,
                                .class_code = 0x018000,
                                .revision = 7};

/// A BAR that reads as its tag.
struct Region final : IoDevice {
    explicit Region(std::uint64_t as) : tag{as} {}
    std::uint64_t read(Access) noexcept override { return tag; }
    void write(Access, std::uint64_t) noexcept override {}
    std::uint64_t tag;
};

struct RecordingPlacement final : Placement {
    void bar_mapped(unsigned bar, std::uint64_t at) noexcept override {
        mapped.emplace_back(bar, at);
    }
    void bar_unmapped(unsigned bar) noexcept override { unmapped.push_back(bar); }
    void after_config_write() noexcept override { ++config_writes; }

    std::vector<std::pair<unsigned, std::uint64_t>> mapped;
    std::vector<unsigned> unmapped;
    int config_writes = 0;
};

struct PciHostBridgeTest : testing::Test {
    PciHostBridgeTest() {
        EXPECT_TRUE(mmio.map(kEcam, kEcamSize, bridge.ecam()));
        EXPECT_TRUE(io.map(kCamPort, kCamSize, bridge.cam()));
    }

    /// Puts a function with one BAR 0 into slot 1 and assigns its address.
    void plug(BarShape shape) {
        function.add_bar(0, shape, region);
        function.set_placement(placement);
        ASSERT_TRUE(bridge.add(function));
        ASSERT_TRUE(bridge.assign_addresses());
    }
    static constexpr std::uint64_t config(unsigned slot, unsigned fn, unsigned offset) {
        return kEcam + (slot * 8 + fn) * 0x1000 + offset;
    }
    std::uint32_t cam_read32(std::uint32_t address) {
        io.write32(0xcf8, address);
        return io.read32(0xcfc);
    }

    test::FakeIoBus mmio;
    test::FakeIoBus io;
    std::array<test::RecordingIrqLine, 4> lines;
    Function function{kCard};
    Region region{0x11};
    RecordingPlacement placement;
    std::vector<std::unique_ptr<Function>> many;  // functions outlive the bridge
    HostBridge bridge{{.windows = kWindows,
                       .mmio = mmio,
                       .io = io,
                       .lines = {&lines[0], &lines[1], &lines[2], &lines[3]},
                       .line_numbers = {16, 17, 18, 19}}};
};

}  // namespace vmm::pci
