// SPDX-License-Identifier: Apache-2.0
// Guest memory as KVM's memory slots. Private to hv/kvm.
// Spec: api.rst, 4.35 KVM_SET_USER_MEMORY_REGION: ROM is KVM_MEM_READONLY, whose writes exit as
// MMIO. Threads: one at a time, as MemoryObserver.
#pragma once

#include <cstdint>
#include <vector>

#include "kvm/ioctl.hpp"
#include "vmm/memory_layout.hpp"

namespace vmm::kvm {

/// Slot numbers are ours to choose; the lowest free one is taken.
class MemorySlots {
public:
    explicit MemorySlots(const Handle& vm) : vm_{vm} {}

    /// ROM needs a KVM that has KVM_CAP_READONLY_MEM, and an error says so.
    Result<> add(const MemoryRegion& region);
    void remove(const MemoryRegion& region) noexcept;

    /// Refuses to make anything private: our VMs are not confidential ones, in which
    /// KVM_SET_MEMORY_ATTRIBUTES would do it.
    Result<> set_privacy(GpaRange part, Privacy now) const;

private:
    struct Slot {
        GpaRange range;  ///< size 0: free
    };

    Result<std::uint32_t> flags_of(const MemoryRegion& region) const;

    const Handle& vm_;
    std::vector<Slot> slots_;  ///< by number
};

}  // namespace vmm::kvm
