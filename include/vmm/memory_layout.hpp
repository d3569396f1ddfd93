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
    Rom,     ///< the guest reads and executes it without an exit; a write exits and changes nothing
    Device,  ///< a device's, in a BAR: the guest reaches it without an exit, nobody else does
};

/// Of each page of RAM, in a confidential guest.
enum class Privacy : std::uint8_t {
    Shared,  ///< the host reads and writes it too: all RAM, until the guest asks for something else
    Private,  ///< the guest's alone
};

/// A stretch of guest memory that is one piece in the host too.
struct MemoryRegion {
    GpaRange range;               ///< whole pages of 4 KiB
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
/// Calls come one at a time, on the thread that caused the change (a vCPU's for a BAR that moves or
/// a page that becomes private), and are bounded. Each returns with the change in effect.
class MemoryObserver {
public:
    virtual ~MemoryObserver() = default;

    /// A region of any kind; all of it is shared.
    virtual Result<> memory_added(const MemoryRegion& region) = 0;
    /// One that was added; all of it is shared again by then.
    virtual void memory_removed(const MemoryRegion& region) noexcept = 0;

    /// All of `part`, whole pages of `region`, which is RAM, is `now` what it was not before.
    /// Whoever cannot follow fails, and has changed nothing. Whoever followed may be asked to go
    /// back at once, because another observer could not; if that fails, the log says so.
    virtual Result<> privacy_changed(const MemoryRegion& region, GpaRange part, Privacy now) = 0;
};

/// Threads: any, but never with a device's lock held.
class MemoryLayout {
public:
    virtual ~MemoryLayout() = default;

    /// Tells the observer of every region that is there and of what is private, and of what changes
    /// from then on. One that cannot follow is left with nothing.
    virtual Result<> subscribe(MemoryObserver& observer) = 0;

    /// RAM, ascending by address. Does not change while a machine lives.
    virtual std::span<const MemoryRegion> regions() const noexcept = 0;

    /// ROM or device memory appears in the guest's address space. Fails, and changes nothing, if it
    /// is not whole pages, overlaps something or an observer cannot follow.
    virtual Result<> add(const MemoryRegion& region) = 0;
    /// Nothing happens if it is not there.
    virtual void remove(const MemoryRegion& region) noexcept = 0;

    /// Makes whole pages of RAM private or shared; those that are so already stay as they are, and
    /// nobody hears of them. Fails, and changes nothing, if `range` is not whole pages of RAM or an
    /// observer cannot follow. A reset shares all of it.
    /// It is up to the observers to put it into effect, and none does so far: a KVM without
    /// confidential guests refuses (hv/kvm/memory_slots.hpp), and GuestMemory does not look at it.
    virtual Result<> set_privacy(GpaRange range, Privacy privacy) = 0;
};

}  // namespace vmm
