// SPDX-License-Identifier: Apache-2.0
// What the kernel is told about its memory: the e820 table of Linux's boot protocol and the memory
// map of PVH hold the same entries with the same type numbers (ACPI 6.5, 15.3).
#pragma once

#include <cstdint>
#include <vector>

#include "x86_64/layout.hpp"

namespace vmm::x86_64 {

enum class MemoryType : std::uint32_t { Ram = 1, Reserved = 2, AcpiTables = 3 };

struct MemoryMapEntry {
    GpaRange range;
    MemoryType type = MemoryType::Ram;
};

/// Ascending. `ram_size` is more than 1 MiB.
std::vector<MemoryMapEntry> memory_map(std::uint64_t ram_size);

}  // namespace vmm::x86_64
