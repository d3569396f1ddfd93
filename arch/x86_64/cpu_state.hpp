// SPDX-License-Identifier: Apache-2.0
// The first vCPU's registers at a kernel's entry.
//
// Spec: Linux Documentation/arch/x86/boot.rst, "32-bit" and "64-bit Boot Protocol"; Xen
// docs/misc/pvh.pandoc, "Domain Builder"; Intel SDM 3A 2.5, 3.4.5, 4.5.
#pragma once

#include <array>
#include <cstdint>

#include "vmm/hv_x86.hpp"

namespace vmm::x86_64 {

/// Selectors that Linux wants: code at 0x10, data at 0x18; then a task state, which 64-bit mode
/// reads as two entries.
inline constexpr std::uint16_t kBootCodeSelector = 0x10;
inline constexpr std::uint16_t kBootDataSelector = 0x18;
inline constexpr std::uint16_t kBootTaskSelector = 0x20;

/// Descriptors as they lie in memory.
using BootGdt = std::array<std::uint64_t, 6>;
BootGdt boot_gdt32();
BootGdt boot_gdt64();

/// Flat 32-bit protected mode, no paging.
hv::x86::SystemRegisters protected_mode(std::uint64_t gdt_at);

/// 64-bit mode with the page tables at `page_tables`.
hv::x86::SystemRegisters long_mode(std::uint64_t gdt_at, std::uint64_t page_tables);

}  // namespace vmm::x86_64
