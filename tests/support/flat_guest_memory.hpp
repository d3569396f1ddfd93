// SPDX-License-Identifier: Apache-2.0
// Guest RAM for tests: stretches of zeroed host memory at the addresses the test asks for.
//
// Pages that nobody touches cost nothing, so gigabytes are fine. Threads: any.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include "vmm/guest_memory.hpp"

namespace vmm::test {

class FlatGuestMemory final : public GuestMemory {
public:
    /// One stretch from address zero.
    explicit FlatGuestMemory(std::uint64_t size) : FlatGuestMemory{GpaRange{Gpa{0}, size}} {}

    /// Ascending, not overlapping; stretches that touch are still separate in the host.
    FlatGuestMemory(std::initializer_list<GpaRange> ranges) {
        for (const GpaRange range : ranges)
            add(range);
    }
    FlatGuestMemory(const FlatGuestMemory&) = delete;
    FlatGuestMemory& operator=(const FlatGuestMemory&) = delete;
    ~FlatGuestMemory() override {
        for (const Region& region : regions_)
            ::munmap(region.host, region.range.size);
    }

    void add(GpaRange range) {
        void* host = ::mmap(nullptr, range.size, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (host == MAP_FAILED)
            std::abort();
        regions_.push_back({range, static_cast<std::byte*>(host)});
    }

    /// Direct access for arranging and asserting; nullptr if the range is not in one stretch.
    std::byte* host(Gpa at, std::uint64_t length = 1) const noexcept {
        for (const Region& region : regions_)
            if (region.range.contains(at, length))
                return region.host + (at - region.range.first);
        return nullptr;
    }

    /// The bytes at `at`, as text; empty if they are not RAM.
    std::string text(Gpa at, std::size_t length) const {
        const auto* from = reinterpret_cast<const char*>(host(at, length));
        return from == nullptr ? std::string{} : std::string{from, length};
    }

    bool copy_in(Gpa from, std::span<std::byte> to) const noexcept override {
        return for_each_piece(from, to.size(),
                              [&](std::byte* piece, std::size_t at, std::size_t n) {
                                  std::memcpy(to.data() + at, piece, n);
                              });
    }
    bool copy_out(Gpa to, std::span<const std::byte> from) noexcept override {
        return for_each_piece(to, from.size(),
                              [&](std::byte* piece, std::size_t at, std::size_t n) {
                                  std::memcpy(piece, from.data() + at, n);
                              });
    }
    std::optional<std::size_t> host_iovecs(Gpa at, std::uint64_t length, Transfer /*transfer*/,
                                           std::span<iovec> out) const noexcept override {
        std::size_t used = 0;
        bool room = true;
        const auto note = [&](std::byte* piece, std::size_t, std::size_t n) {
            if (used == out.size())
                room = false;
            else
                out[used++] = {piece, n};
        };
        if (!for_each_piece(at, length, note) || !room)
            return std::nullopt;
        return used;
    }
    GuestView view(Gpa at, std::uint64_t length) const noexcept override {
        std::byte* const from = host(at, length);
        return from == nullptr ? GuestView{} : GuestView{from, length};
    }

private:
    struct Region {
        GpaRange range;
        std::byte* host;
    };

    const Region* find(Gpa at) const noexcept {
        for (const Region& region : regions_)
            if (region.range.contains(at, 1))
                return &region;
        return nullptr;
    }

    /// Calls nothing unless all of the range is RAM.
    template <class F>
    bool for_each_piece(Gpa at, std::uint64_t length, F&& use) const noexcept {
        return walk(at, length, [](std::byte*, std::size_t, std::size_t) {}) &&
               walk(at, length, use);
    }
    template <class F>
    bool walk(Gpa at, std::uint64_t length, F&& use) const noexcept {
        std::uint64_t done = 0;
        while (done < length) {
            if (at.value() > ~std::uint64_t{0} - done)
                return false;
            const Gpa here{at.value() + done};
            const Region* const region = find(here);
            if (region == nullptr)
                return false;
            const std::uint64_t offset = here - region->range.first;
            const std::uint64_t n = std::min(length - done, region->range.size - offset);
            use(region->host + offset, done, n);
            done += n;
        }
        return true;
    }

    std::vector<Region> regions_;
};

}  // namespace vmm::test
