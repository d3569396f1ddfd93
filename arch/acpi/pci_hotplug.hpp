// SPDX-License-Identifier: Apache-2.0
// Objects by which a guest hears of PCI devices that come, lets go of those that it is asked for,
// and tells the hot-plug controller. Part of a host bridge in the namespace.
//
// Spec: ACPI 6.5, 6.3.3 (_EJx), 6.1.11 (_SUN), 5.6.6 (notifications).
#pragma once

#include <cstdint>

#include "acpi/aml.hpp"

namespace vmm::acpi {

/// Where the registers of the controller are (vmm/acpi_registers.hpp).
struct PciHotplugRegisters {
    aml::SpaceId space = aml::SpaceId::SystemIo;
    std::uint64_t address = 0;
};

/// Slots 1 to 31. Inside the host bridge's device.
void write_pci_hotplug(aml::Writer& to, const PciHotplugRegisters& registers);

/// Has the guest look at what has come and what shall go: for the method that handles the
/// controller's interrupt, in \_SB.
void handle_pci_hotplug(aml::Writer& to);

}  // namespace vmm::acpi
