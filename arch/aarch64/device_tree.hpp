// SPDX-License-Identifier: Apache-2.0
// The device tree of the board.
//
// Spec: Devicetree Specification 0.4; bindings in Linux Documentation/devicetree/bindings:
// arm/cpus, cpu/cpu-topology, arm/psci, arm/pmu, timer/arm,arch_timer,
// interrupt-controller/arm,gic and arm,gic-v3, serial/pl011, rtc/arm,pl031, gpio/pl061_gpio,
// input/gpio-keys, pci/host-generic-pci. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/gpa.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::aarch64 {

/// How many of each there are in the one above; their product is the number of vCPUs.
struct CpuMap {
    std::uint32_t sockets = 1;
    std::uint32_t clusters = 1;
    std::uint32_t cores = 1;
    std::uint32_t threads = 1;
};

struct Board {
    std::span<const std::uint64_t> mpidrs;  ///< of the vCPUs, in their order
    CpuMap cpu_map;
    GpaRange ram;
    std::string command_line;
    GpaRange initramfs;  ///< empty: there is none
    hv::arm::GicLayout gic;
    hv::arm::GicVersion gic_version = hv::arm::GicVersion::V3;
    bool pmu = false;
    bool uart = false;
    GpaRange pci_memory64;            ///< for BARs; may be empty
    std::span<const std::byte> seed;  ///< 64 bytes for KASLR and the kernel's entropy; or none
};

std::vector<std::byte> device_tree(const Board& board);

}  // namespace vmm::aarch64
