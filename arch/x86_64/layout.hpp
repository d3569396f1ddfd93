// SPDX-License-Identifier: Apache-2.0
// The address map of our PC: what lies where in guest physical memory, in port space and on the
// interrupt controller. Loader, ACPI tables and the machine all take their numbers from here.
//
// Units: bytes. Nothing here allocates or depends on the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/gpa.hpp"
#include "vmm/hv.hpp"

namespace vmm::x86_64 {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;
inline constexpr std::uint64_t kPageSize = 4 * kKiB;

// ---- below 1 MiB; RAM is behind all of it ----------------------------------------------------

/// First page: where a real-mode kernel would expect vectors and BIOS data. Nobody writes there.
inline constexpr GpaRange kRealModeVectors{Gpa{0}, 0x1000};
/// Everything the boot protocols hand over in memory: GDT, zero page or start_info, maps, command
/// line, page tables. Free for the kernel once it has copied what it wants.
inline constexpr GpaRange kBootData{Gpa{0x1000}, 0x2'0000 - 0x1000};
/// Usable RAM ends here, as on every PC; above it were video memory and option ROMs.
inline constexpr std::uint64_t kEndOfLowMemory = 0xa'0000;
/// ACPI tables. The RSDP is at its start: operating systems that were told nothing else search
/// 0xe0000..0xfffff for it (ACPI 6.5, 5.2.5.1).
inline constexpr GpaRange kAcpiTables{Gpa{0xe'0000}, 0x2'0000};
inline constexpr Gpa kRsdp = kAcpiTables.first;
/// The last bytes of that range, which the tables leave free: ffff:0000, where a CPU starts after
/// power-on and where a guest jumps to restart (reset_vector.hpp).
inline constexpr GpaRange kResetVector{Gpa{0xf'fff0}, 0x10};
inline constexpr std::uint64_t kStartOfHighMemory = kMiB;

// ---- RAM and the hole below 4 GiB ------------------------------------------------------------

inline constexpr std::uint64_t kLowRamLimit = 3 * kGiB;  ///< RAM above this goes to 4 GiB
inline constexpr Gpa kHighRam{4 * kGiB};

/// BARs that cannot lie above 4 GiB.
inline constexpr GpaRange kPciWindow32{Gpa{0xc000'0000}, 512 * kMiB};
/// PCI configuration space, 256 buses.
inline constexpr GpaRange kEcam{Gpa{0xe000'0000}, 256 * kMiB};
inline constexpr GpaRange kIoApic{Gpa{0xfec0'0000}, kPageSize};
inline constexpr GpaRange kLocalApic{Gpa{0xfee0'0000}, kPageSize};
/// Pages that KVM itself wants on Intel hosts without unrestricted guest mode
/// (KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_TSS_ADDR).
inline constexpr GpaRange kKvmIdentityMap{Gpa{0xfffb'c000}, kPageSize};
inline constexpr GpaRange kKvmTss{Gpa{0xfffb'd000}, 3 * kPageSize};

/// The one or two stretches of RAM.
class RamRanges {
public:
    explicit constexpr RamRanges(std::uint64_t size)
        : ranges_{GpaRange{Gpa{0}, size < kLowRamLimit ? size : kLowRamLimit},
                  GpaRange{kHighRam, size > kLowRamLimit ? size - kLowRamLimit : 0}},
          count_{size > kLowRamLimit ? 2U : 1U} {}

    constexpr std::span<const GpaRange> all() const { return std::span{ranges_}.first(count_); }
    constexpr GpaRange low() const { return ranges_[0]; }
    constexpr const GpaRange* begin() const { return ranges_.data(); }
    constexpr const GpaRange* end() const { return ranges_.data() + count_; }

private:
    std::array<GpaRange, 2> ranges_;
    std::size_t count_;
};

/// Where `size` bytes of RAM lie: below the hole, and what is left from 4 GiB up.
constexpr RamRanges ram_ranges(std::uint64_t size) {
    return RamRanges{size};
}

/// One past the highest byte of RAM.
constexpr std::uint64_t end_of_ram(std::uint64_t size) {
    return size > kLowRamLimit ? kHighRam.value() + (size - kLowRamLimit) : size;
}

/// Prefetchable 64-bit BARs: above RAM, at most 1 TiB, within the guest's physical address bits
/// (CPUID 0x80000008), and clear of the last 12 GiB below 1 TiB, which AMD's IOMMUs keep for
/// themselves. Size 0 when there is no room.
constexpr GpaRange pci_window64(std::uint64_t ram_size, unsigned address_bits) {
    constexpr std::uint64_t kAlign = 4 * kGiB;
    constexpr std::uint64_t kLargest = 1024 * kGiB;
    constexpr std::uint64_t kHyperTransport = 1012 * kGiB;
    constexpr std::uint64_t kAfterHyperTransport = 1024 * kGiB;
    constexpr std::uint64_t kWorthwhile = 64 * kGiB;

    const std::uint64_t limit = std::uint64_t{1} << (address_bits < 52 ? address_bits : 52);
    const std::uint64_t ram_end = end_of_ram(ram_size);
    std::uint64_t first = ram_end < kAlign ? kAlign : (ram_end + kAlign - 1) / kAlign * kAlign;
    std::uint64_t end = limit;
    if (limit > kAfterHyperTransport && first + kWorthwhile > kHyperTransport)
        first = first < kAfterHyperTransport ? kAfterHyperTransport : first;
    else if (end > kHyperTransport)
        end = kHyperTransport;
    if (first >= end)
        return GpaRange{Gpa{first}, 0};
    return GpaRange{Gpa{first}, end - first < kLargest ? end - first : kLargest};
}

// ---- global system interrupts ----------------------------------------------------------------

inline constexpr hv::Gsi kGsiCom1{4};
inline constexpr hv::Gsi kGsiGed{9};  ///< ACPI generic event device: power button
/// INTx of PCI devices, level triggered: 16..23, one after the other and round again.
inline constexpr std::uint32_t kGsiPciFirst = 16;
inline constexpr std::uint32_t kGsiPciCount = 8;
inline constexpr std::uint32_t kIoApicPins = 24;

// ---- ports: first one and how many
// ---------------------------------------------------------------

struct PortRange {
    std::uint16_t first = 0;
    std::uint16_t count = 0;
};

inline constexpr PortRange kPortCmos{0x70, 2};
inline constexpr PortRange kPortCom1{0x3f8, 8};
inline constexpr PortRange kPortPciConfig{0xcf8, 8};  ///< CONFIG_ADDRESS, CONFIG_DATA
/// ACPI registers of a hardware-reduced platform (ACPI 6.5, 4.8.3.7, 4.8.3.6, 4.8.3.3).
inline constexpr PortRange kPortAcpi{0x600, 0x10};
inline constexpr std::uint16_t kPortSleepControl = 0x600;  // 8 bits
inline constexpr std::uint16_t kPortSleepStatus = 0x601;   // 8 bits
inline constexpr std::uint16_t kPortReset = 0x602;         // 8 bits
inline constexpr std::uint16_t kPortGed = 0x60c;           // 8 bits: vmm/acpi_registers.hpp
inline constexpr PortRange kPortPciHotplug{0x610, 0xc};    ///< only in a machine with hot plug
/// Port BARs of PCI devices.
inline constexpr PortRange kPortsPci{0x1000, 0xf000};

}  // namespace vmm::x86_64
