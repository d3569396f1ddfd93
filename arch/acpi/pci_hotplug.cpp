// SPDX-License-Identifier: Apache-2.0
#include "acpi/pci_hotplug.hpp"

#include "vmm/acpi_registers.hpp"

namespace vmm::acpi {
namespace {

using aml::Arg;
using aml::Local;
using aml::NamePath;
using aml::NameSeg;
using aml::Nowhere;
using aml::Serialized;
using aml::Writer;

constexpr unsigned kSlots = 32;  // the first one is the host bridge's

// Reserved values of Notify for any device (5.6.6).
constexpr unsigned kDeviceCheck = 1;
constexpr unsigned kEjectRequest = 3;

constexpr NamePath kAdded{"ADDD"};
constexpr NamePath kAsked{"ASKD"};
constexpr NamePath kEject{"EJCT"};

constexpr std::uint32_t bit_of(unsigned slot) {
    return std::uint32_t{1} << slot;
}

NameSeg name_of(unsigned slot) {
    return NameSeg::numbered('S', slot);
}

void write_registers(Writer& to, const PciHotplugRegisters& registers) {
    static_assert(pci_hotplug::kAdded == 0 && pci_hotplug::kAsked == 4 && pci_hotplug::kEject == 8);
    to.operation_region("HPRG", registers.space, registers.address, pci_hotplug::kSize);
    to.dword_field("HPRG", {{"ADDD", 32}, {"ASKD", 32}, {"EJCT", 32}});
}

// The host empties the slot some time after the write. A guest that looked at it before that would
// find the device once more.
void write_eject(Writer& to) {
    to.method("HPEJ", 1, Serialized::Yes, [&] {
        to.add(aml::store(Arg{0}, kEject));
        to.while_(aml::bit_and(kEject, Arg{0}, Nowhere{}),
                  [&] { to.add(aml::sleep_milliseconds(1U)); });
    });
}

void write_slot(Writer& to, unsigned slot) {
    to.device(name_of(slot), [&] {
        to.name("_ADR", slot << 16);
        to.name("_SUN", slot);
        to.method("_EJ0", 1, Serialized::No, [&] { to.add(aml::call("HPEJ", bit_of(slot))); });
    });
}

// The register forgets what it returns, so it is read once.
void write_notifications(Writer& to, const NamePath& from, unsigned value) {
    to.add(aml::store(from, Local{0}));
    to.if_(Local{0}, [&] {
        for (unsigned slot = 1; slot < kSlots; ++slot)
            to.if_(aml::bit_and(Local{0}, bit_of(slot), Nowhere{}),
                   [&] { to.add(aml::notify(name_of(slot), value)); });
    });
}

}  // namespace

void write_pci_hotplug(Writer& to, const PciHotplugRegisters& registers) {
    write_registers(to, registers);
    write_eject(to);
    for (unsigned slot = 1; slot < kSlots; ++slot)
        write_slot(to, slot);
    to.method("HPEV", 0, Serialized::Yes, [&] {
        write_notifications(to, kAdded, kDeviceCheck);
        write_notifications(to, kAsked, kEjectRequest);
    });
}

void handle_pci_hotplug(Writer& to) {
    to.add(aml::call("\\_SB.PCI0.HPEV"));
}

}  // namespace vmm::acpi
