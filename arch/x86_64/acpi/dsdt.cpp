#include "x86_64/acpi/dsdt.hpp"

#include <limits>

#include "vmm/acpi_registers.hpp"
#include "vmm/assert.hpp"
#include "x86_64/layout.hpp"

namespace vmm::x86_64 {
namespace {

using aml::Arg;
using aml::EisaId;
using aml::Local;
using aml::NamePath;
using aml::NameSeg;
using aml::Nowhere;
using aml::Resources;
using aml::String;
using aml::Trigger;
using aml::Uuid;
using aml::Writer;

/// The resources of a device that never change.
template <class Body>
void current_resources(Writer& to, Body&& body) {
    to.name("_CRS", [&] { to.resource_template(body); });
}

// The MADT has what a guest needs to start the CPUs; these objects let it tie them to power and
// topology data. 30 bytes each.
void write_processors(Writer& to, const TablesConfig& config) {
    for (std::size_t uid = 0; uid < config.apic_ids.size(); ++uid)
        to.device(NameSeg::numbered('C', static_cast<unsigned>(uid)), [&] {
            to.name("_HID", String{"ACPI0007"});
            to.name("_UID", uid);
        });
}

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

// One read of the register: it clears all events.
void write_event_handler(Writer& to) {
    constexpr unsigned kPressed = 0x80;
    constexpr auto kButton = acpi::GedEvents{}.with(acpi::GedEvents::power_button, true);

    to.add(aml::store(NamePath{"EVTS"}, Local{0}));
    to.if_(aml::bit_and(Local{0}, kButton.raw(), Nowhere{}),
           [&] { to.add(aml::notify(NamePath{"PWRB"}, kPressed)); });
}

// A hardware-reduced platform has no fixed power button: the button is a device, and the Generic
// Event Device tells of it.
void write_power_button(Writer& to) {
    to.device("PWRB", [&] {
        to.name("_HID", EisaId{"PNP0C0C"});
        to.name("_UID", 0U);
    });
    to.device("GED", [&] {
        to.name("_HID", String{"ACPI0013"});
        to.name("_UID", 0U);
        current_resources(to, [](Resources& use) { use.interrupt(kGsiGed, Trigger::Level); });
        to.operation_region("EREG", aml::SpaceId::SystemIo, kPortGed, 1);
        to.byte_field("EREG", {{"EVTS", 8}});
        to.method("_EVT", 1, aml::Serialized::Yes, [&] { write_event_handler(to); });
    });
}

void write_windows(Resources& use, const PciHost& pci) {
    use.bus_numbers(pci.first_bus, pci.last_bus);
    if (pci.config_ports)
        use.io(kPortPciConfig.first, static_cast<std::uint8_t>(kPortPciConfig.count));
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

// Wired straight to pins of the I/O APIC: no link devices.
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
    });
    if (pci.ecam)
        write_ecam(to, pci, *pci.ecam);
}

}  // namespace

void write_namespace(aml::Writer& to, const TablesConfig& config) {
    to.name("_S5", [&] { to.package(4, [&] { to.add(acpi::kSleepTypeS5, 0U, 0U, 0U); }); });
    to.scope("\\_SB", [&] {
        write_processors(to, config);
        if (config.com1)
            write_com1(to);
        if (config.clock)
            write_clock(to);
        if (config.power_button)
            write_power_button(to);
        if (config.pci)
            write_pci(to, *config.pci);
    });
}

}  // namespace vmm::x86_64
