// SPDX-License-Identifier: Apache-2.0
// The ACPI registers of our platform: what the tables that describe them (arch) and the devices
// behind them must agree on. Where they lie is the machine's business.
//
// Spec: ACPI 6.5, 4.8.3.6 (reset register), 4.8.3.7 (sleep control and status of a
// hardware-reduced platform), 5.6.9 (Generic Event Device). All registers are 8 bits wide, but for
// those of PCI hot plug.
#pragma once

#include <cstdint>

#include "vmm/register.hpp"

namespace vmm::acpi {

/// What the guest writes into the reset register.
inline constexpr std::uint8_t kResetValue = 0x01;

/// SLP_TYP of the only sleep state there is, S5 (soft off); \_S5 in the DSDT holds the same.
inline constexpr std::uint8_t kSleepTypeS5 = 5;

struct SleepControl : Register<SleepControl, std::uint8_t> {
    using Register::Register;
    static constexpr Field<SleepControl, 4, 2> sleep_type{};  // SLP_TYP
    static constexpr Bit<SleepControl, 5> sleep_enable{};     // SLP_EN, write only
};

struct SleepStatus : Register<SleepStatus, std::uint8_t> {
    using Register::Register;
    static constexpr Bit<SleepStatus, 7> wake{};  // WAK_STS, write 1 to clear
};

/// The event register behind the Generic Event Device: a set bit is an event that nobody has seen
/// yet. Reading returns the bits and clears them all; writes are ignored. Its interrupt is level
/// triggered and high as long as a bit is set, so that an event that comes before the guest has a
/// driver for it is not lost.
struct GedEvents : Register<GedEvents, std::uint8_t> {
    using Register::Register;
    static constexpr Bit<GedEvents, 0> power_button{};
};

/// Hot plug of PCI devices: registers of 32 bits with a bit for each slot. The interrupt is level
/// triggered and high as long as one of the first two has a bit set.
namespace pci_hotplug {
// offset, access, meaning
inline constexpr std::uint64_t kAdded = 0x0;  // r   a new device; clears what it returns
inline constexpr std::uint64_t kAsked = 0x4;  // r   shall be ejected; clears what it returns
inline constexpr std::uint64_t kEject = 0x8;  // rw  w: ejects; r: ejected, and not empty yet
inline constexpr std::uint64_t kSize = 0xc;   // bytes
}  // namespace pci_hotplug

}  // namespace vmm::acpi
