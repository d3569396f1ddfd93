// SPDX-License-Identifier: Apache-2.0
#include "x86_64/pvh_boot.hpp"

#include <cstdint>
#include <vector>

#include "x86_64/cpu_state.hpp"
#include "x86_64/memory_map.hpp"

namespace vmm::x86_64 {
namespace {

// Structures of start_info.h
struct StartInfo {
    std::uint32_t magic = 0x336e'c578;
    std::uint32_t version = 1;
    std::uint32_t flags = 0;
    std::uint32_t module_count = 0;
    std::uint64_t modules = 0;
    std::uint64_t command_line = 0;
    std::uint64_t rsdp = 0;
    std::uint64_t memory_map = 0;  // from version 1 on
    std::uint32_t memory_map_count = 0;
    std::uint32_t reserved = 0;
};
static_assert(sizeof(StartInfo) == 56 && offsetof(StartInfo, memory_map_count) == 48);

struct Module {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
    std::uint64_t command_line = 0;
    std::uint64_t reserved = 0;
};
static_assert(sizeof(Module) == 32);

struct MapEntry {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
    std::uint32_t type = 0;
    std::uint32_t reserved = 0;
};
static_assert(sizeof(MapEntry) == 24);

std::vector<MapEntry> map_entries(std::uint64_t ram_size) {
    std::vector<MapEntry> entries;
    for (const MemoryMapEntry& entry : memory_map(ram_size))
        entries.push_back({.address = entry.range.first.value(),
                           .size = entry.range.size,
                           .type = static_cast<std::uint32_t>(entry.type)});
    return entries;
}

}  // namespace

Result<CpuStart> write_pvh_boot(const Handover& handover, GuestMemory& memory) {
    BootData data{memory};
    const BootGdt gdt = boot_gdt32();
    const Gpa gdt_at =
        VMM_TRY(data.put_array(std::span<const std::uint64_t>{gdt}, "descriptor table"));
    const Gpa info_at = VMM_TRY(data.reserve(sizeof(StartInfo), alignof(StartInfo), "start info"));
    const auto map = map_entries(handover.ram_size);
    const Gpa map_at = VMM_TRY(data.put_array(std::span<const MapEntry>{map}, "memory map"));

    StartInfo info{.rsdp = handover.rsdp.value_or(Gpa{}).value(),
                   .memory_map = map_at.value(),
                   .memory_map_count = static_cast<std::uint32_t>(map.size())};
    if (handover.initramfs.size != 0) {
        const Module module{.address = handover.initramfs.first.value(),
                            .size = handover.initramfs.size};
        const Gpa at = VMM_TRY(data.put_array(std::span{&module, 1}, "module list"));
        info.modules = at.value();
        info.module_count = 1;
    }
    const Gpa command_line = VMM_TRY(data.put_text(handover.command_line, "command line"));
    info.command_line = command_line.value();
    VMM_TRY(data.fill(info_at, std::as_bytes(std::span{&info, 1}), "start info"));

    return CpuStart{.registers = {.rbx = info_at.value(), .rip = handover.entry.value()},
                    .system = protected_mode(gdt_at.value())};
}

}  // namespace vmm::x86_64
