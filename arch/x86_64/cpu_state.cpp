// SPDX-License-Identifier: Apache-2.0
#include "x86_64/cpu_state.hpp"

namespace vmm::x86_64 {
namespace {

using hv::x86::Segment;
using hv::x86::SystemRegisters;

// Control register bits
constexpr std::uint64_t kCr0Protection = 1U << 0;         // PE
constexpr std::uint64_t kCr0ExtensionType = 1U << 4;      // ET, always one
constexpr std::uint64_t kCr0Paging = 1U << 31;            // PG
constexpr std::uint64_t kCr4PhysicalExtension = 1U << 5;  // PAE
constexpr std::uint64_t kEferLongModeEnable = 1U << 8;    // LME
constexpr std::uint64_t kEferLongModeActive = 1U << 10;   // LMA

constexpr std::uint8_t kTypeCode = 0xb;  // execute, read, accessed
constexpr std::uint8_t kTypeData = 0x3;  // read, write, accessed
constexpr std::uint8_t kTypeBusyTask = 0xb;

Segment flat(std::uint16_t selector, std::uint8_t type) {
    return {.limit = 0xffff'ffff,
            .selector = selector,
            .type = type,
            .present = true,
            .db = true,
            .s = true,
            .g = true};
}

Segment task() {
    return {.limit = 0x67, .selector = kBootTaskSelector, .type = kTypeBusyTask, .present = true};
}

SystemRegisters flat_segments(std::uint64_t gdt_at) {
    SystemRegisters registers;
    registers.cs = flat(kBootCodeSelector, kTypeCode);
    registers.ds = flat(kBootDataSelector, kTypeData);
    registers.es = registers.ds;
    registers.fs = registers.ds;
    registers.gs = registers.ds;
    registers.ss = registers.ds;
    registers.tr = task();
    registers.gdt = {.base = gdt_at, .limit = sizeof(BootGdt) - 1};
    return registers;
}

constexpr std::uint64_t kCode32 = 0x00cf'9b00'0000'ffff;
constexpr std::uint64_t kCode64 = 0x00af'9b00'0000'ffff;
constexpr std::uint64_t kData = 0x00cf'9300'0000'ffff;
constexpr std::uint64_t kTask = 0x0000'8b00'0000'0067;

}  // namespace

BootGdt boot_gdt32() {
    return {0, 0, kCode32, kData, kTask, 0};
}

BootGdt boot_gdt64() {
    return {0, 0, kCode64, kData, kTask, 0};
}

SystemRegisters protected_mode(std::uint64_t gdt_at) {
    SystemRegisters registers = flat_segments(gdt_at);
    registers.cr0 = kCr0Protection | kCr0ExtensionType;
    return registers;
}

SystemRegisters long_mode(std::uint64_t gdt_at, std::uint64_t page_tables) {
    SystemRegisters registers = flat_segments(gdt_at);
    registers.cs.db = false;
    registers.cs.l = true;
    registers.cr0 = kCr0Protection | kCr0ExtensionType | kCr0Paging;
    registers.cr3 = page_tables;
    registers.cr4 = kCr4PhysicalExtension;
    registers.efer = kEferLongModeEnable | kEferLongModeActive;
    return registers;
}

}  // namespace vmm::x86_64
