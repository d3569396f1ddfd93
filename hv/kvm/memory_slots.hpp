// SPDX-License-Identifier: Apache-2.0
// Guest memory as KVM's memory slots. Private to hv/kvm.
// Spec: api.rst, 4.35 KVM_SET_USER_MEMORY_REGION. Threads: one at a time, as MemoryObserver.
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

    Result<> add(const MemoryRegion& region);
    void remove(const MemoryRegion& region) noexcept;

private:
    struct Slot {
        GpaRange range;  ///< size 0: free
    };

    const Handle& vm_;
    std::vector<Slot> slots_;  ///< by number
};

}  // namespace vmm::kvm
