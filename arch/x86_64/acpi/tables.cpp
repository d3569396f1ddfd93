// SPDX-License-Identifier: Apache-2.0
#include "x86_64/acpi/tables.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "acpi/table_writer.hpp"
#include "vmm/acpi_registers.hpp"
#include "vmm/assert.hpp"
#include "x86_64/acpi/dsdt.hpp"
#include "x86_64/layout.hpp"

namespace vmm::x86_64 {
namespace {

using acpi::put_zeros;
using aml::Bytes;
using aml::Writer;

/// Generic Address Structure (5.2.3.2) of an 8-bit port.
void put_port(Writer& to, std::uint16_t port) {
    to.byte(1);  // system I/O
    to.byte(8);  // bits
    to.byte(0);  // offset
    to.byte(1);  // byte access
    to.little_endian(std::uint64_t{port});
}

// ---- FADT: what sort of machine this is (5.2.9) -------------------------------------------------

// Each bit says what the guest need not look for. Linux believes them.
namespace boot_arch {  // IAPC_BOOT_ARCH, 5.2.9.3
// LEGACY_DEVICES (0) clear: everything is in the namespace or on PCI.
// 8042 (1) clear: no keyboard controller. Probing one that is not there costs a Linux guest half a
//   second of timeouts.
constexpr std::uint16_t kNoVga = 1U << 2;   // do not poke at video memory and its ports
constexpr std::uint16_t kNoAspm = 1U << 4;  // links are emulated or the host's to manage
constexpr std::uint16_t kNoCmosClock = 1U << 5;
}  // namespace boot_arch

namespace flag {                            // Fixed Feature Flags, table 5.10
constexpr std::uint32_t kWbinvd = 1U << 0;  // WBINVD works
constexpr std::uint32_t kC1 = 1U << 2;      // every CPU has HLT
constexpr std::uint32_t kNoFixedPowerButton = 1U << 4;
constexpr std::uint32_t kNoFixedSleepButton = 1U << 5;
constexpr std::uint32_t kNoFixedClockWake = 1U << 6;
constexpr std::uint32_t kResetRegister = 1U << 10;
// The bit that saves most: no PM1 and GPE blocks, no SMI, no mode switch. Linux then also leaves
// out the 8259, the PIT, and the test whether the PIT's interrupt arrives through the I/O APIC.
constexpr std::uint32_t kHardwareReduced = 1U << 20;
}  // namespace flag

void write_fadt(Writer& to, const TablesConfig& config, Gpa dsdt) {
    const auto boot_flags =
        static_cast<std::uint16_t>(boot_arch::kNoVga | (config.pci ? boot_arch::kNoAspm : 0U) |
                                   (config.clock ? 0U : boot_arch::kNoCmosClock));
    const bool below_4g = dsdt.value() >> 32 == 0;

    // offset, field; what is not named here is of hardware that a reduced platform does not have
    put_zeros(to, 4);                                                            // 36 FIRMWARE_CTRL
    to.little_endian(below_4g ? static_cast<std::uint32_t>(dsdt.value()) : 0U);  // 40 DSDT
    put_zeros(to, 64);                                                           // 44
    to.byte(config.clock ? config.clock->century_index : std::uint8_t{0});       // 108 CENTURY
    to.little_endian(boot_flags);                                                // 109
    to.byte(0);                                                                  // 111
    to.little_endian(flag::kWbinvd | flag::kC1 | flag::kNoFixedPowerButton |
                     flag::kNoFixedSleepButton | flag::kNoFixedClockWake | flag::kResetRegister |
                     flag::kHardwareReduced);      // 112 Flags
    put_port(to, kPortReset);                      // 116 RESET_REG
    to.byte(acpi::kResetValue);                    // 128 RESET_VALUE
    put_zeros(to, 2);                              // 129 ARM_BOOT_ARCH
    to.byte(5);                                    // 131 minor version: ACPI 6.5
    put_zeros(to, 8);                              // 132 X_FIRMWARE_CTRL
    to.little_endian(dsdt.value());                // 140 X_DSDT
    put_zeros(to, 96);                             // 148 PM1, PM2, PM timer, GPE blocks
    put_port(to, kPortSleepControl);               // 244 SLEEP_CONTROL_REG
    put_port(to, kPortSleepStatus);                // 256 SLEEP_STATUS_REG
    to.raw(std::string_view{"VMM\0\0\0\0\0", 8});  // 268 Hypervisor Vendor Identity
}

// ---- MADT: CPUs and interrupt controllers (5.2.12)
// ------------------------------------------------

constexpr std::uint32_t kEnabled = 1;
/// Ids from here on need an x2APIC entry; ids below must not have one (5.2.12.12).
constexpr std::uint32_t kFirstX2ApicId = 255;

void put_cpu(Writer& to, std::uint32_t uid, std::uint32_t apic_id) {
    if (apic_id < kFirstX2ApicId) {
        VMM_ASSERT(uid < 255);  // 255 means all of them
        to.byte(0);             // Processor Local APIC, 5.2.12.2
        to.byte(8);
        to.byte(static_cast<std::uint8_t>(uid));
        to.byte(static_cast<std::uint8_t>(apic_id));
        to.little_endian(kEnabled);
    } else {
        to.byte(9);  // Processor Local x2APIC, 5.2.12.12
        to.byte(16);
        to.little_endian(std::uint16_t{0});
        to.little_endian(apic_id);
        to.little_endian(kEnabled);
        to.little_endian(uid);
    }
}

// NMIs come in at LINT1 of every local APIC, as Linux expects them to.
void put_nmi(Writer& to, bool x2apic) {
    constexpr std::uint8_t kLint1 = 1;

    to.byte(4);  // Local APIC NMI, 5.2.12.7
    to.byte(6);
    to.byte(0xff);                       // all CPUs
    to.little_endian(std::uint16_t{0});  // polarity and trigger of the bus
    to.byte(kLint1);
    if (!x2apic)
        return;
    to.byte(10);  // Local x2APIC NMI, 5.2.12.13
    to.byte(12);
    to.little_endian(std::uint16_t{0});
    to.little_endian(~std::uint32_t{0});  // all CPUs
    to.byte(kLint1);
    put_zeros(to, 3);
}

void put_io_apic(Writer& to) {
    to.byte(1);  // I/O APIC, 5.2.12.3
    to.byte(12);
    to.byte(0);  // id
    to.byte(0);
    to.little_endian(static_cast<std::uint32_t>(kIoApic.first.value()));
    to.little_endian(std::uint32_t{0});  // its first global system interrupt
}

// ISA interrupts keep their numbers and are edge triggered, active high; only what differs needs an
// entry. There is no PIT, so interrupt 0 does not move to pin 2 as on other PCs.
void put_level_override(Writer& to, hv::Gsi gsi) {
    constexpr std::uint16_t kActiveHigh = 1;
    constexpr std::uint16_t kLevel = 3U << 2;
    to.byte(2);  // Interrupt Source Override, 5.2.12.5
    to.byte(10);
    to.byte(0);  // bus: ISA
    to.byte(static_cast<std::uint8_t>(gsi));
    to.little_endian(static_cast<std::uint32_t>(gsi));
    to.little_endian(static_cast<std::uint16_t>(kActiveHigh | kLevel));
}

void write_madt(Writer& to, const TablesConfig& config) {
    to.little_endian(static_cast<std::uint32_t>(kLocalApic.first.value()));
    // PCAT_COMPAT (0) clear: the guest need not mask 8259s before it uses the APICs. KVM has them,
    // but they come up with nothing unmasked that could interrupt.
    to.little_endian(std::uint32_t{0});
    for (std::size_t uid = 0; uid < config.apic_ids.size(); ++uid)
        put_cpu(to, static_cast<std::uint32_t>(uid), config.apic_ids[uid]);
    put_io_apic(to);
    if (config.power_button)
        put_level_override(to, kGsiGed);
    put_nmi(to, std::ranges::any_of(config.apic_ids,
                                    [](std::uint32_t id) { return id >= kFirstX2ApicId; }));
}

}  // namespace

Tables build_tables(const TablesConfig& config, Gpa where) {
    VMM_ASSERT(where.value() % 16 == 0);
    VMM_ASSERT(!config.apic_ids.empty());
    VMM_ASSERT(config.power_button || !config.pci || !config.pci->hotplug);
    constexpr std::size_t kBytesPerCpu = 48;
    constexpr std::size_t kBytesPerWire = 16;
    constexpr std::size_t kTheRest = 2048;

    Bytes bytes;
    bytes.reserve(kTheRest + config.apic_ids.size() * kBytesPerCpu +
                  (config.pci ? config.pci->intx.size() * kBytesPerWire : 0));
    bytes.resize(acpi::kRsdpSize);
    acpi::TableWriter tables{bytes, where};
    const Gpa dsdt = tables.table("DSDT", 2, [&](Writer& to) { write_namespace(to, config); });
    std::array<Gpa, 3> listed;
    std::size_t count = 0;
    listed[count++] = tables.table("FACP", 6, [&](Writer& to) { write_fadt(to, config, dsdt); });
    listed[count++] = tables.table("APIC", 6, [&](Writer& to) { write_madt(to, config); });
    if (config.pci && config.pci->ecam)
        listed[count++] = tables.table(
            "MCFG", 1, [&](Writer& to) { acpi::write_mcfg(to, *config.pci, *config.pci->ecam); });
    const Gpa xsdt = tables.xsdt(std::span{listed}.first(count));
    acpi::write_rsdp(std::span{bytes}.first(acpi::kRsdpSize), xsdt);
    return Tables{std::move(bytes), where};
}

}  // namespace vmm::x86_64
