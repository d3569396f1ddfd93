// SPDX-License-Identifier: Apache-2.0
// The one place that knows what memory is mapped where, and who wants to hear of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/error.hpp"
#include "vmm/gpa.hpp"

namespace vmm {

enum class MemoryKind : std::uint8_t {
    Ram,     ///< what loaders, rings and buffers lie in (GuestMemory)
    Device,  ///< a device's, in a BAR: the guest reaches it without an exit, nobody else does
};

/// A stretch of guest memory that is one piece in the host too.
struct MemoryRegion {
    GpaRange range;
    std::byte* host = nullptr;    ///< page aligned
    int fd = -1;                  ///< memfd or file behind it, -1 when anonymous; not owned
    std::uint64_t fd_offset = 0;  ///< bytes
    bool shared = false;          ///< another process that maps fd sees the same bytes
    MemoryKind kind = MemoryKind::Ram;
};

/// Memory of a device that guests may map, wherever that will be. Its owner keeps it until the
/// machine is gone.
struct DeviceMemory {
    std::byte* host = nullptr;    ///< page aligned
    std::uint64_t size = 0;       ///< bytes, a multiple of 4 KiB
    int fd = -1;                  ///< as in MemoryRegion
    std::uint64_t fd_offset = 0;  ///< the same
    bool shared = false;          ///< the same

    MemoryRegion at(Gpa where) const {
        return {.range = {where, size},
                .host = host,
                .fd = fd,
                .fd_offset = fd_offset,
                .shared = shared,
                .kind = MemoryKind::Device};
    }
};

/// KVM slots, VFIO and IOMMU mappings, vhost tables, SEV page state, dirty logs.
/// Calls come one at a time, on the thread that caused the change (a vCPU's for a BAR that moves),
/// and are bounded.
class MemoryObserver {
public:
    virtual ~MemoryObserver() = default;

    virtual Result<> memory_added(const MemoryRegion& region) = 0;
    virtual void memory_removed(const MemoryRegion& region) noexcept = 0;
};

/// Threads: any, but never with a device's lock held.
class MemoryLayout {
public:
    virtual ~MemoryLayout() = default;

    /// Tells the observer of every region that is there, and of what comes and goes from then on.
    virtual Result<> subscribe(MemoryObserver& observer) = 0;

    /// RAM, ascending by address. Does not change while a machine lives.
    virtual std::span<const MemoryRegion> regions() const noexcept = 0;

    /// Device memory appears in the guest's address space. Fails, and changes nothing, if it
    /// overlaps something or an observer cannot follow.
    virtual Result<> add(const MemoryRegion& region) = 0;
    /// Nothing happens if it is not there.
    virtual void remove(const MemoryRegion& region) noexcept = 0;
};

}  // namespace vmm
