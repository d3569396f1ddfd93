// SPDX-License-Identifier: Apache-2.0
#include "x86_64/memory_map.hpp"

namespace vmm::x86_64 {

std::vector<MemoryMapEntry> memory_map(std::uint64_t ram_size) {
    const RamRanges ram = ram_ranges(ram_size);
    std::vector<MemoryMapEntry> map{
        {{Gpa{0}, kEndOfLowMemory}, MemoryType::Ram},
        {kAcpiTables, MemoryType::AcpiTables},
        {{Gpa{kStartOfHighMemory}, ram.low().size - kStartOfHighMemory}, MemoryType::Ram},
        // Linux uses configuration space in memory only where firmware says that it is reserved.
        {kEcam, MemoryType::Reserved},
        // No BAR may be put there.
        {{kKvmIdentityMap.first, kKvmIdentityMap.size + kKvmTss.size}, MemoryType::Reserved},
    };
    if (ram.all().size() > 1)
        map.push_back({ram.all()[1], MemoryType::Ram});
    return map;
}

}  // namespace vmm::x86_64
