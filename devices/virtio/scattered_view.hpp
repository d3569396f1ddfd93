// SPDX-License-Identifier: Apache-2.0
// A ring that lies in pieces of the host: behind an IOMMU, or across regions that touch in the
// guest only.
//
// Does what GuestView does (vmm/guest_memory.hpp), by a table of pages made once, when the queue
// starts. A view of one piece is kept apart from it because that is what nearly every ring has, and
// a look at the table would cost it half as much again as a whole pop() takes.
// Threads and lifetime: as GuestView.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "vmm/gpa.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::virtio {

class ScatteredView {
public:
    /// Bytes: enough for the descriptors of the longest queue.
    static constexpr std::size_t kMaxSize = 16 * 1024;

    ScatteredView() = default;
    /// Empty if the range is not RAM as a whole, is longer than kMaxSize, or is cut elsewhere than
    /// between two pages of the guest. `at` is aligned for everything that will be looked at, at
    /// 16 bytes or less.
    ScatteredView(const GuestMemory& memory, Gpa at, std::uint64_t length,
                  Transfer transfer) noexcept;

    explicit operator bool() const { return size_ != 0; }

    /// `offset` as in GuestView: what lies across two pages, or beyond the view, aborts.
    template <class T>
    T load(std::size_t offset, std::memory_order order = std::memory_order_relaxed) const {
        return std::atomic_ref<T>{*at<T>(offset)}.load(order);
    }
    template <class T>
    void store(std::size_t offset, T value, std::memory_order order = std::memory_order_relaxed) {
        std::atomic_ref<T>{*at<T>(offset)}.store(value, order);
    }

private:
    static constexpr std::size_t kPage = 4096;
    static constexpr std::size_t kMostPages = kMaxSize / kPage + 1;

    template <class T>
    T* at(std::size_t offset) const {
        const std::size_t place = lead_ + offset;
        if (sizeof(T) > size_ || offset > size_ - sizeof(T) || place % sizeof(T) != 0) [[unlikely]]
            __builtin_trap();
        return reinterpret_cast<T*>(pages_[place / kPage] + place % kPage);
    }

    std::size_t size_ = 0;  // bytes
    std::size_t lead_ = 0;  // bytes of the first page before the view
    /// Where each page begins in the host, also where the view has only a part of it.
    std::array<std::uintptr_t, kMostPages> pages_{};
};

/// How a ring finds its parts, whichever view it has of them. `transfer` is the device's.
template <class View>
View view_of(const GuestMemory& memory, Gpa at, std::uint64_t length, Transfer transfer);

template <>
inline GuestView view_of<GuestView>(const GuestMemory& memory, Gpa at, std::uint64_t length,
                                    Transfer /*transfer*/) {
    return memory.view(at, length);
}

template <>
inline ScatteredView view_of<ScatteredView>(const GuestMemory& memory, Gpa at, std::uint64_t length,
                                            Transfer transfer) {
    return {memory, at, length, transfer};
}

}  // namespace vmm::virtio
