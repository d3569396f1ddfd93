// SPDX-License-Identifier: Apache-2.0
// Objects of the namespace that machines of every architecture have.
//
// Spec: ACPI 6.5, 8.4 (processors), 4.8.2.2 (power button), 5.6.9 (Generic Event Device).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "acpi/aml.hpp"
#include "vmm/hv.hpp"

namespace vmm::acpi {

/// The resources of a device that never change.
template <class Body>
void current_resources(aml::Writer& to, Body&& body) {
    to.name("_CRS", [&] { to.resource_template(std::forward<Body>(body)); });
}

/// `count` CPUs, whose UIDs start at 0.
void write_processors(aml::Writer& to, std::size_t count);

/// Where the guest reads its events (vmm/acpi_registers.hpp), and the interrupt that tells it to.
struct EventDevice {
    aml::SpaceId space = aml::SpaceId::SystemIo;
    std::uint64_t address = 0;  ///< of GedEvents, 8 bits
    hv::Gsi gsi{};              ///< level triggered
    bool pci_hotplug = false;   ///< its controller shares the interrupt
};

/// A power button, and the Generic Event Device that tells of it.
void write_power_button(aml::Writer& to, const EventDevice& events);

}  // namespace vmm::acpi
