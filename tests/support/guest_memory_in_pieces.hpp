// SPDX-License-Identifier: Apache-2.0
// The RAM of a FlatGuestMemory, as a device behind an IOMMU finds it: each page of the guest is at
// a place of its own in the host, in reverse order, and between two of them is nothing.
//
// What goes over the end of a page faults. Bytes are the same as those of the FlatGuestMemory,
// which must outlive it, and starts at 0. Threads: any.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "support/flat_guest_memory.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::test {

class GuestMemoryInPieces final : public GuestMemory {
public:
    static constexpr std::uint64_t kPage = 4096;

    /// `size` in bytes, whole pages.
    GuestMemoryInPieces(const FlatGuestMemory& flat, std::uint64_t size) : pages_{size / kPage} {
        void* const all = ::mmap(nullptr, 2 * size + kPage, PROT_NONE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (all == MAP_FAILED)
            std::abort();
        all_ = static_cast<std::byte*>(all);
        for (std::uint64_t page = 0; page < pages_; ++page)
            // Of shared memory, an old size of 0 makes a second mapping of the same pages.
            if (::mremap(flat.host(Gpa{page * kPage}, kPage), 0, kPage,
                         MREMAP_MAYMOVE | MREMAP_FIXED, host(page)) == MAP_FAILED)
                std::abort();
    }
    GuestMemoryInPieces(const GuestMemoryInPieces&) = delete;
    GuestMemoryInPieces& operator=(const GuestMemoryInPieces&) = delete;
    ~GuestMemoryInPieces() override { ::munmap(all_, (2 * pages_ + 1) * kPage); }

    bool copy_in(Gpa from, std::span<std::byte> to) const noexcept override {
        return for_each_piece(from, to.size(), [&](std::byte* piece, std::uint64_t n) {
            std::memcpy(to.data(), piece, n);
            to = to.subspan(n);
        });
    }
    bool copy_out(Gpa to, std::span<const std::byte> from) noexcept override {
        return for_each_piece(to, from.size(), [&](std::byte* piece, std::uint64_t n) {
            std::memcpy(piece, from.data(), n);
            from = from.subspan(n);
        });
    }
    std::optional<std::size_t> host_iovecs(Gpa at, std::uint64_t length, Transfer /*transfer*/,
                                           std::span<iovec> out) const noexcept override {
        std::size_t used = 0;
        bool room = true;
        const bool whole = for_each_piece(at, length, [&](std::byte* piece, std::uint64_t n) {
            room = room && used < out.size();
            if (room)
                out[used++] = {piece, n};
        });
        return whole && room ? std::optional{used} : std::nullopt;
    }
    GuestView view(Gpa at, std::uint64_t length) const noexcept override {
        if (!is_ram(at, length) || length > kPage - at.value() % kPage)
            return {};
        return {host(at.value() / kPage) + at.value() % kPage, length};
    }

private:
    std::byte* host(std::uint64_t page) const { return all_ + (2 * (pages_ - page) - 1) * kPage; }
    bool is_ram(Gpa at, std::uint64_t length) const {
        return GpaRange{Gpa{0}, pages_ * kPage}.contains(at, length);
    }
    template <class Use>
    bool for_each_piece(Gpa at, std::uint64_t length, Use&& use) const {
        if (!is_ram(at, length))
            return false;
        for (std::uint64_t next = at.value(); length > 0;) {
            const std::uint64_t n = std::min(length, kPage - next % kPage);
            use(host(next / kPage) + next % kPage, n);
            next += n;
            length -= n;
        }
        return true;
    }

    std::byte* all_ = nullptr;
    std::uint64_t pages_;
};

}  // namespace vmm::test
