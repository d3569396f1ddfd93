// SPDX-License-Identifier: Apache-2.0
#include "kvm/memory_slots.hpp"

#include <linux/kvm.h>

#include <algorithm>
#include <bit>

#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

const char* name(MemoryKind kind) {
    switch (kind) {
        case MemoryKind::Ram:
            return "RAM";
        case MemoryKind::Rom:
            return "ROM";
        case MemoryKind::Device:
            return "device memory";
    }
    return "memory";
}

}  // namespace

Result<std::uint32_t> MemorySlots::flags_of(const MemoryRegion& region) const {
    if (region.kind != MemoryKind::Rom)
        return 0U;
    if (vm_.attempt(KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
        return std::unexpected(
            Error{ErrorKind::Unsupported,
                  cat("cannot give the guest ROM at ", region.range.first,
                      ": the KVM of this host has no read-only memory (KVM_CAP_READONLY_MEM)")});
    return std::uint32_t{KVM_MEM_READONLY};
}

Result<> MemorySlots::add(const MemoryRegion& region) {
    const auto flags = VMM_TRY(flags_of(region));
    const auto free = std::ranges::find(slots_, 0U, [](const Slot& s) { return s.range.size; });
    const auto number = static_cast<std::uint32_t>(free - slots_.begin());
    kvm_userspace_memory_region slot{
        .slot = number,
        .flags = flags,
        .guest_phys_addr = region.range.first.value(),
        .memory_size = region.range.size,
        .userspace_addr = std::bit_cast<std::uintptr_t>(region.host),
    };
    VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_SET_USER_MEMORY_REGION), &slot),
               cat("cannot give the guest ", Hex{region.range.size}, " bytes of ",
                   name(region.kind), " at ", region.range.first, " (slot ", number, ")"));
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

Result<> MemorySlots::set_privacy(GpaRange part, Privacy now) const {
    if (now == Privacy::Shared)
        return {};
    return std::unexpected(Error{
        ErrorKind::Unsupported,
        cat("RAM at ", part.first, " cannot become private: this is not a confidential guest")});
}

}  // namespace vmm::kvm
