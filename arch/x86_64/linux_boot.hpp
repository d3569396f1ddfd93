// SPDX-License-Identifier: Apache-2.0
// The Linux boot protocol's side of a start: zero page and registers, 64-bit or 32-bit entry.
//
// Spec: Linux Documentation/arch/x86/boot.rst and zero-page.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/entropy_source.hpp"
#include "vmm/error.hpp"
#include "vmm/hv_x86.hpp"
#include "x86_64/boot_data.hpp"
#include "x86_64/kernel_file.hpp"

namespace vmm::x86_64 {

/// What every protocol tells the kernel.
struct Handover {
    std::uint64_t ram_size = 0;
    std::string_view command_line;
    GpaRange initramfs;       ///< size 0: none
    std::optional<Gpa> rsdp;  ///< none: no ACPI
    Gpa entry;
    EntropySource* entropy = nullptr;  ///< for a seed of Linux's random numbers
};

struct CpuStart {
    hv::x86::Registers registers;
    hv::x86::SystemRegisters system;
};

enum class LinuxEntry : std::uint8_t { Bits64, Bits32 };

struct LinuxStart {
    const BzImage* header = nullptr;  ///< of the file; an ELF has none and gets a plain one
    LinuxEntry entry = LinuxEntry::Bits64;
    Gpa load_address;
    bool kaslr = false;  ///< the kernel was moved to a random address
};

Result<CpuStart> write_linux_boot(const LinuxStart& start, const Handover& handover,
                                  GuestMemory& memory);

}  // namespace vmm::x86_64
