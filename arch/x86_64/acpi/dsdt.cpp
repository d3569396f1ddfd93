// SPDX-License-Identifier: Apache-2.0
#include "x86_64/acpi/dsdt.hpp"

#include "acpi/devices.hpp"
#include "acpi/pci_host.hpp"
#include "vmm/acpi_registers.hpp"
#include "x86_64/layout.hpp"

namespace vmm::x86_64 {
namespace {

using acpi::current_resources;
using aml::EisaId;
using aml::Resources;
using aml::String;
using aml::Trigger;
using aml::Writer;

void write_com1(Writer& to) {
    to.device("COM1", [&] {
        to.name("_HID", EisaId{"PNP0501"});
        to.name("_UID", 1U);
        to.name("_DDN", String{"COM1"});
        current_resources(to, [](Resources& use) {
            use.io(kPortCom1.first, static_cast<std::uint8_t>(kPortCom1.count));
            use.interrupt(kGsiCom1, Trigger::Edge);
        });
    });
}

// No interrupt: Linux then sets no alarms and reads the time only.
void write_clock(Writer& to) {
    to.device("RTC", [&] {
        to.name("_HID", EisaId{"PNP0B00"});
        current_resources(to, [](Resources& use) {
            use.io(kPortCmos.first, static_cast<std::uint8_t>(kPortCmos.count));
        });
    });
}

}  // namespace

void write_namespace(aml::Writer& to, const TablesConfig& config) {
    to.name("_S5", [&] { to.package(4, [&] { to.add(acpi::kSleepTypeS5, 0U, 0U, 0U); }); });
    to.scope("\\_SB", [&] {
        acpi::write_processors(to, config.apic_ids.size());
        if (config.com1)
            write_com1(to);
        if (config.clock)
            write_clock(to);
        if (config.power_button)
            acpi::write_power_button(to, {.address = kPortGed,
                                          .gsi = kGsiGed,
                                          .pci_hotplug = config.pci && config.pci->hotplug});
        if (config.pci)
            acpi::write_pci(to, *config.pci);
    });
}

}  // namespace vmm::x86_64
