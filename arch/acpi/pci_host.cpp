// SPDX-License-Identifier: Apache-2.0
#include "acpi/pci_host.hpp"

#include <limits>

#include "acpi/devices.hpp"
#include "acpi/table_writer.hpp"
#include "vmm/assert.hpp"

namespace vmm::acpi {
namespace {

using aml::Arg;
using aml::EisaId;
using aml::Local;
using aml::NamePath;
using aml::Resources;
using aml::Uuid;
using aml::Writer;

/// CONFIG_ADDRESS and CONFIG_DATA (PCI Local Bus Specification 3.0, 3.2.2.3.2).
constexpr std::uint16_t kConfigPorts = 0xcf8;
constexpr std::uint8_t kConfigPortCount = 8;

void write_windows(Resources& use, const PciHost& pci) {
    use.bus_numbers(pci.first_bus, pci.last_bus);
    if (pci.config_ports)
        use.io(kConfigPorts, kConfigPortCount);
    for (const PciHost::Window& window : pci.windows) {
        if (window.size == 0)
            continue;
        const std::uint64_t last = window.first + (window.size - 1);
        VMM_ASSERT(last >= window.first);
        if (window.kind == PciHost::Window::Kind::Io) {
            VMM_ASSERT(last <= std::numeric_limits<std::uint16_t>::max());
            use.word_io_window(static_cast<std::uint16_t>(window.first),
                               static_cast<std::uint16_t>(last));
        } else {
            use.memory_window(window.first, last,
                              window.kind == PciHost::Window::Kind::Memory
                                  ? aml::Caching::None
                                  : aml::Caching::Prefetchable);
        }
    }
}

void write_wire(Writer& to, const PciHost::Intx& wire) {
    constexpr std::uint32_t kAllFunctions = 0xffff;
    to.package(4, [&] {
        to.add(std::uint32_t{wire.device} << 16 | kAllFunctions, wire.pin, 0U,
               static_cast<std::uint32_t>(wire.gsi));
    });
}

// Wired straight to pins of the interrupt controller: no link devices.
void write_interrupt_routing(Writer& to, const PciHost& pci) {
    VMM_ASSERT(pci.intx.size() <= 255);
    to.name("_PRT", [&] {
        to.package(static_cast<std::uint8_t>(pci.intx.size()), [&] {
            for (const PciHost::Intx& wire : pci.intx)
                write_wire(to, wire);
        });
    });
}

// Of what the guest wants to control it gets what we emulate, which is all but the standard hot
// plug controller (PCI Firmware 4.5.1).
constexpr unsigned kControls = 1U << 0 |  // PCI Express native hot plug
                               1U << 2 |  // power management events
                               1U << 3 |  // advanced error reporting
                               1U << 4;   // PCI Express capability structures

/// The named DWORDs of _OSC's buffer; the one between them says what the guest supports.
constexpr NamePath kStatus{"STAT"};
constexpr NamePath kControl{"CTRL"};

void set_status(Writer& to, unsigned bit) {
    to.add(aml::bit_or(kStatus, 1U << bit, kStatus));
}

void write_pci_osc(Writer& to) {
    constexpr unsigned kUnknownRevision = 3;
    constexpr unsigned kCapabilitiesMasked = 4;

    to.add(aml::create_dword_field(Arg{3}, 8U, kControl));
    to.if_(aml::not_equal(Arg{1}, 1U), [&] { set_status(to, kUnknownRevision); });
    to.add(aml::bit_and(kControl, kControls, Local{0}));
    to.if_(aml::not_equal(kControl, Local{0}), [&] {
        set_status(to, kCapabilitiesMasked);
        to.add(aml::store(Local{0}, kControl));
    });
}

// Who controls what of the bus; status bits of ACPI 6.5, 6.2.11.
void write_osc(Writer& to) {
    constexpr unsigned kUnknownUuid = 2;

    to.method("_OSC", 4, aml::Serialized::Yes, [&] {
        to.add(aml::create_dword_field(Arg{3}, 0U, kStatus));
        to.if_(aml::equal(Arg{0}, Uuid{"33db4d5b-1ff7-401c-9657-7441c03dd766"}),
               [&] { write_pci_osc(to); });
        to.else_([&] { set_status(to, kUnknownUuid); });
        to.add(aml::give_back(Arg{3}));
    });
}

// The MCFG's addresses must also be reserved as a motherboard resource, or Linux does not use them
// (PCI Firmware 4.1.2).
void write_ecam(Writer& to, const PciHost& pci, Gpa ecam) {
    constexpr std::uint64_t kBytesPerBus = 1 << 20;
    const std::uint64_t first = ecam.value() + pci.first_bus * kBytesPerBus;
    const std::uint64_t size = (pci.last_bus - pci.first_bus + 1U) * kBytesPerBus;
    to.device("ECAM", [&] {
        to.name("_HID", EisaId{"PNP0C02"});
        to.name("_UID", 0U);
        current_resources(to, [&](Resources& use) {
            if (first + size - 1 <= std::numeric_limits<std::uint32_t>::max())
                use.memory32_fixed(static_cast<std::uint32_t>(first),
                                   static_cast<std::uint32_t>(size));
            else
                use.memory_window(first, first + size - 1, aml::Caching::None);
        });
    });
}

}  // namespace

void write_pci(Writer& to, const PciHost& pci) {
    to.device("PCI0", [&] {
        to.name("_HID", EisaId{"PNP0A08"});
        to.name("_CID", EisaId{"PNP0A03"});
        to.name("_SEG", pci.segment);
        to.name("_BBN", pci.first_bus);
        to.name("_UID", 0U);
        current_resources(to, [&](Resources& use) { write_windows(use, pci); });
        write_interrupt_routing(to, pci);
        write_osc(to);
        if (pci.hotplug)
            write_pci_hotplug(to, *pci.hotplug);
    });
    if (pci.ecam)
        write_ecam(to, pci, *pci.ecam);
}

void write_mcfg(Writer& to, const PciHost& pci, Gpa ecam) {
    put_zeros(to, 8);
    to.little_endian(ecam.value());
    to.little_endian(pci.segment);
    to.byte(pci.first_bus);
    to.byte(pci.last_bus);
    put_zeros(to, 4);
}

}  // namespace vmm::acpi
