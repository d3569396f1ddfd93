// SPDX-License-Identifier: Apache-2.0
#include "acpi/devices.hpp"

#include "acpi/pci_hotplug.hpp"
#include "vmm/acpi_registers.hpp"

namespace vmm::acpi {
namespace {

using aml::EisaId;
using aml::Local;
using aml::NamePath;
using aml::NameSeg;
using aml::Nowhere;
using aml::Resources;
using aml::String;
using aml::Trigger;
using aml::Writer;

// One read of the register: it clears all events.
void write_event_handler(Writer& to, const EventDevice& events) {
    constexpr unsigned kPressed = 0x80;
    constexpr auto kButton = GedEvents{}.with(GedEvents::power_button, true);

    to.add(aml::store(NamePath{"EVTS"}, Local{0}));
    to.if_(aml::bit_and(Local{0}, kButton.raw(), Nowhere{}),
           [&] { to.add(aml::notify(NamePath{"PWRB"}, kPressed)); });
    if (events.pci_hotplug)
        handle_pci_hotplug(to);
}

}  // namespace

// The MADT has what a guest needs to start the CPUs; these objects let it tie them to power and
// topology data. 30 bytes each.
void write_processors(Writer& to, std::size_t count) {
    for (std::size_t uid = 0; uid < count; ++uid)
        to.device(NameSeg::numbered('C', static_cast<unsigned>(uid)), [&] {
            to.name("_HID", String{"ACPI0007"});
            to.name("_UID", uid);
        });
}

// A hardware-reduced platform has no fixed power button: the button is a device, and the Generic
// Event Device tells of it.
void write_power_button(Writer& to, const EventDevice& events) {
    to.device("PWRB", [&] {
        to.name("_HID", EisaId{"PNP0C0C"});
        to.name("_UID", 0U);
    });
    to.device("GED", [&] {
        to.name("_HID", String{"ACPI0013"});
        to.name("_UID", 0U);
        current_resources(to, [&](Resources& use) { use.interrupt(events.gsi, Trigger::Level); });
        to.operation_region("EREG", events.space, events.address, 1);
        to.byte_field("EREG", {{"EVTS", 8}});
        to.method("_EVT", 1, aml::Serialized::Yes, [&] { write_event_handler(to, events); });
    });
}

}  // namespace vmm::acpi
