// The ACPI tables of our PC: how many CPUs it has, which interrupts go where, what devices there
// are besides those that PCI finds, and how the guest switches it off.
//
// Spec: ACPI 6.5, 5.2 (tables), 4.8.3 (registers of a hardware-reduced platform), 6.1 to 6.5
// (objects), 5.6.9 (Generic Event Device); PCI Firmware Specification 3.3, 4.1.2 (MCFG), 4.5
// (_OSC). Same input, same bytes. Addresses, ports and interrupts that are always the same come
// from layout.hpp, those of the registers from vmm/acpi_registers.hpp. Left out: the ACPI PM timer
// (each reading is an exit, and no guest needs it beside kvmclock), HPET, FACS (a hardware-reduced
// platform needs none), NUMA and hot plug.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/gpa.hpp"
#include "vmm/hv.hpp"

namespace vmm::x86_64 {

/// The PCI host bridge, as far as the guest cannot ask it.
struct PciHost {
    /// Linux puts BARs of every sort into windows of kind Memory, but only prefetchable ones into
    /// the other kind.
    struct Window {
        enum class Kind : std::uint8_t { Io, Memory, PrefetchableMemory };
        Kind kind = Kind::Memory;
        std::uint64_t first = 0;
        std::uint64_t size = 0;  ///< bytes; a window of size 0 is left out
    };
    /// Where pin `pin` (0 is INTA) of the functions of a device on the first bus is wired to.
    struct Intx {
        std::uint8_t device = 0;
        std::uint8_t pin = 0;
        hv::Gsi gsi{};
    };

    std::uint16_t segment = 0;
    std::uint8_t first_bus = 0;
    std::uint8_t last_bus = 0;
    /// Configuration space of bus 0 of the segment, 1 MiB a bus, whatever first_bus is. Without it
    /// the guest has ports only.
    std::optional<Gpa> ecam;
    bool config_ports = true;  ///< 0xcf8 and 0xcfc answer
    std::span<const Window> windows;
    std::span<const Intx> intx;  ///< at most 255
};

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
    std::optional<PciHost> pci;
};

struct Tables {
    std::vector<std::byte> bytes;  ///< to be copied to the place they were made for
    Gpa rsdp;                      ///< for PVH's start_info and Linux's boot_params
};

/// `where` is 16-byte aligned. The RSDP comes first.
Tables build_tables(const TablesConfig& config, Gpa where);

}  // namespace vmm::x86_64
