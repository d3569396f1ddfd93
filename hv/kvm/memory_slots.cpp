// SPDX-License-Identifier: Apache-2.0
#include "kvm/memory_slots.hpp"

#include <linux/kvm.h>

#include <algorithm>
#include <bit>

#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {

Result<> MemorySlots::add(const MemoryRegion& region) {
    const auto free = std::ranges::find(slots_, 0U, [](const Slot& s) { return s.range.size; });
    const auto number = static_cast<std::uint32_t>(free - slots_.begin());
    kvm_userspace_memory_region slot{
        .slot = number,
        .flags = 0,
        .guest_phys_addr = region.range.first.value(),
        .memory_size = region.range.size,
        .userspace_addr = std::bit_cast<std::uintptr_t>(region.host),
    };
    VMM_TRY_OR(
        vm_.call(VMM_REQUEST(KVM_SET_USER_MEMORY_REGION), &slot),
        cat("cannot give the guest ", Hex{region.range.size},
            region.kind == MemoryKind::Ram ? " bytes of RAM at " : " bytes of device memory at ",
            region.range.first, " (slot ", number, ")"));
    if (free == slots_.end())
        slots_.push_back({region.range});
    else
        free->range = region.range;
    return {};
}

void MemorySlots::remove(const MemoryRegion& region) noexcept {
    const auto same = [&](const Slot& s) {
        return s.range.first == region.range.first && s.range.size == region.range.size;
    };
    const auto slot = std::ranges::find_if(slots_, same);
    if (slot == slots_.end() || region.range.size == 0)
        return;
    kvm_userspace_memory_region gone{
        .slot = static_cast<std::uint32_t>(slot - slots_.begin()),
        .flags = 0,
        .guest_phys_addr = region.range.first.value(),
        .memory_size = 0,  // deletes
        .userspace_addr = 0,
    };
    if (vm_.attempt(KVM_SET_USER_MEMORY_REGION, &gone) < 0)
        log::error("KVM_SET_USER_MEMORY_REGION failed to delete the slot at ", region.range.first);
    slot->range = {};
}

}  // namespace vmm::kvm
