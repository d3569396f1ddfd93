// SPDX-License-Identifier: Apache-2.0
// What the guest finds where firmware would start: it asks for a reset.
//
// Linux ends a reboot on a PC of hardware-reduced ACPI and without EFI by a jump to ffff:0000, in
// real mode: with that kind of ACPI it takes for granted that there is EFI, does not even try the
// reset register, and goes on to the BIOS (Linux arch/x86/kernel/reboot.c, efi_reboot_required()
// and native_machine_emergency_restart()). An old system that jumps there on its own means the
// same.
#pragma once

#include <array>
#include <cstddef>

#include "vmm/acpi_registers.hpp"
#include "x86_64/layout.hpp"

namespace vmm::x86_64 {

/// Real-mode code for kResetVector: writes the reset register and halts.
// clang-format off
inline constexpr auto kResetVectorCode = std::array{
    std::byte{0xba}, std::byte{kPortReset & 0xff}, std::byte{kPortReset >> 8},  // mov dx, kPortReset
    std::byte{0xb0}, std::byte{acpi::kResetValue},                              // mov al, kResetValue
    std::byte{0xee},                                                            // out dx, al
    std::byte{0xf4},                                                            // hlt
    std::byte{0xeb}, std::byte{0xfd},                                           // jmp to the hlt
};
// clang-format on
static_assert(kResetVectorCode.size() <= kResetVector.size);

}  // namespace vmm::x86_64
