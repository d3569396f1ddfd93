// SPDX-License-Identifier: Apache-2.0
// Where things lie in the guest's address space on aarch64, and on which interrupts.
//
// Low addresses are the board's, as QEMU's "virt" has them, so that firmware finds what it looks
// for; RAM begins at 1 GiB. Interrupts are shared peripheral interrupts, counted from 0.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/gpa.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::aarch64 {

inline constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;

inline constexpr GpaRange kDistributor{Gpa{0x0800'0000}, 64 * kKiB};
inline constexpr GpaRange kCpuInterface{Gpa{0x0801'0000}, 64 * kKiB};  // of a GICv2
inline constexpr GpaRange kIts{Gpa{0x0808'0000}, 128 * kKiB};
inline constexpr std::uint64_t kRedistributor = 128 * kKiB;  // bytes, for each vCPU
/// Of the first vCPUs; those of the others lie above RAM.
inline constexpr GpaRange kRedistributors{Gpa{0x080a'0000}, 123 * kRedistributor};
inline constexpr GpaRange kUart{Gpa{0x0900'0000}, 4 * kKiB};
inline constexpr GpaRange kRtc{Gpa{0x0901'0000}, 4 * kKiB};
inline constexpr GpaRange kGpio{Gpa{0x0903'0000}, 4 * kKiB};
inline constexpr GpaRange kPciMemory32{Gpa{0x1000'0000}, 0x2f00'0000};
inline constexpr GpaRange kEcam{Gpa{0x3f00'0000}, kMiB};  // one bus
inline constexpr Gpa kRam{kGiB};

inline constexpr std::uint32_t kSpis = 64;
inline constexpr hv::Gsi kUartSpi{1};
inline constexpr std::uint32_t kPciFirstSpi = 3;  // and the three after it
inline constexpr hv::Gsi kGpioSpi{7};

inline constexpr unsigned kPowerLine = 3;  // of the GPIO: the power button

// Private peripheral interrupts of the architected timer and the PMU. Spec: Arm BSA (DEN 0094).
inline constexpr std::uint32_t kSecureTimerPpi = 13, kTimerPpi = 14, kVirtualTimerPpi = 11,
                               kHypervisorTimerPpi = 10;

constexpr GpaRange ram_range(std::uint64_t bytes) {
    return {kRam, bytes};
}

/// What lies above RAM.
struct HighMap {
    GpaRange redistributors;  ///< of the vCPUs that kRedistributors has no room for
    GpaRange pci_memory64;    ///< for BARs; empty: there is no room
};

/// Within `address_bits` of guest physical address.
constexpr HighMap high_map(std::uint64_t ram, std::uint64_t vcpus, unsigned address_bits) {
    constexpr std::uint64_t kAlign = 4 * kGiB, kLargest = 1024 * kGiB;
    constexpr std::uint64_t kLow = kRedistributors.size / kRedistributor;
    const std::uint64_t limit = std::uint64_t{1} << (address_bits < 52 ? address_bits : 52);
    const auto aligned = [](std::uint64_t at, std::uint64_t to) { return (at + to - 1) / to * to; };
    HighMap map;
    map.redistributors = {Gpa{aligned(kRam.value() + ram, kGiB)},
                          vcpus > kLow ? (vcpus - kLow) * kRedistributor : 0};
    const std::uint64_t first = aligned(end_of(map.redistributors), kAlign);
    if (first < limit)
        map.pci_memory64 = {Gpa{first}, limit - first < kLargest ? limit - first : kLargest};
    return map;
}

}  // namespace vmm::aarch64
