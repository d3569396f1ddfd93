// SPDX-License-Identifier: Apache-2.0
// The one place that knows what RAM is mapped where, and who wants to hear of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/error.hpp"
#include "vmm/gpa.hpp"

namespace vmm {

/// A stretch of guest RAM that is one piece in the host too.
struct RamRegion {
    GpaRange range;
    std::byte* host = nullptr;    ///< page aligned
    int fd = -1;                  ///< memfd or file behind it, -1 when anonymous; not owned
    std::uint64_t fd_offset = 0;  ///< bytes
    bool shared = false;          ///< another process that maps fd sees the same bytes
};

/// KVM slots, VFIO and IOMMU mappings, vhost tables, SEV page state, dirty logs.
class MemoryObserver {
public:
    virtual ~MemoryObserver() = default;

    virtual Result<> ram_added(const RamRegion& region) = 0;
    virtual void ram_removed(const RamRegion& region) noexcept = 0;
};

/// Threads: one at a time, the machine's.
class MemoryLayout {
public:
    virtual ~MemoryLayout() = default;

    /// Tells the observer of every region that is there. Regions do not change while a machine
    /// lives.
    virtual Result<> subscribe(MemoryObserver& observer) = 0;

    /// Ascending by address.
    virtual std::span<const RamRegion> regions() const noexcept = 0;
};

}  // namespace vmm
