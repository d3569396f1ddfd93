// SPDX-License-Identifier: Apache-2.0
// A PCI host bridge in the namespace and, where its configuration space is memory, in an MCFG.
//
// Spec: ACPI 6.5, 6.1 to 6.5 (objects); PCI Firmware Specification 3.3, 4.1.2 (MCFG), 4.5 (_OSC).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "acpi/aml.hpp"
#include "acpi/pci_hotplug.hpp"
#include "vmm/gpa.hpp"
#include "vmm/hv.hpp"

namespace vmm::acpi {

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
    /// Devices come and go while the guest runs. Its event handler (EventDevice) must know.
    std::optional<PciHotplugRegisters> hotplug;
};

/// Inside \_SB.
void write_pci(aml::Writer& to, const PciHost& pci);

/// The body of an MCFG.
void write_mcfg(aml::Writer& to, const PciHost& pci, Gpa ecam);

}  // namespace vmm::acpi
