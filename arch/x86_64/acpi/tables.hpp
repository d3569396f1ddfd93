// SPDX-License-Identifier: Apache-2.0
// The ACPI tables of our PC: how many CPUs it has, which interrupts go where, what devices there
// are besides those that PCI finds, and how the guest switches it off.
//
// Spec: ACPI 6.5, 5.2 (tables), 4.8.3 (registers of a hardware-reduced platform), 6.1 to 6.5
// (objects), 5.6.9 (Generic Event Device); PCI Firmware Specification 3.3, 4.1.2 (MCFG), 4.5
// (_OSC). Same input, same bytes. Addresses, ports and interrupts that are always the same come
// from layout.hpp, those of the registers from vmm/acpi_registers.hpp. Left out: the ACPI PM timer
// (each reading is an exit, and no guest needs it beside kvmclock), HPET, FACS (a hardware-reduced
// platform needs none), NUMA, and hot plug of anything but PCI devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "acpi/pci_host.hpp"
#include "vmm/gpa.hpp"

namespace vmm::x86_64 {

using acpi::PciHost;

/// The CMOS clock, which tells the time and never interrupts.
struct CmosClock {
    /// Index of the CMOS byte that holds the century, in BCD; 0 when there is none.
    std::uint8_t century_index = 0x32;
};

struct TablesConfig {
    /// APIC id of each vCPU; its place here is its ACPI processor UID. The first one boots.
    std::span<const std::uint32_t> apic_ids;
    bool com1 = true;
    bool power_button = true;
    std::optional<CmosClock> clock = CmosClock{};
    std::optional<PciHost> pci;  ///< hot plug needs the power button, whose events it shares
};

struct Tables {
    std::vector<std::byte> bytes;  ///< to be copied to the place they were made for
    Gpa rsdp;                      ///< for PVH's start_info and Linux's boot_params
};

/// `where` is 16-byte aligned. The RSDP comes first.
Tables build_tables(const TablesConfig& config, Gpa where);

}  // namespace vmm::x86_64
