// SPDX-License-Identifier: Apache-2.0
#include "memory/guest_ram.hpp"

#include <algorithm>
#include <cstring>

namespace vmm {

Result<std::unique_ptr<GuestRam>> GuestRam::create(std::span<const GpaRange> ranges,
                                                   const RamSettings& settings) {
    std::unique_ptr<GuestRam> ram{new GuestRam};
    for (const auto& range : ranges)
        ram->size_ += range.size;
    VMM_TRY(ram->open_source(settings));
    VMM_TRY(ram->map(settings));

    std::uint64_t offset = 0;
    for (const auto& range : ranges) {
        ram->regions_.push_back({.range = range,
                                 .host = ram->host_ + offset,
                                 .fd = ram->fd(),
                                 .fd_offset = offset,
                                 .shared = ram->shared_});
        offset += range.size;
    }
    return ram;
}

GuestRam::Piece GuestRam::piece(Gpa at, std::uint64_t length) const noexcept {
    for (const auto& region : regions_)
        if (region.range.contains(at, 1)) {
            const auto offset = at - region.range.first;
            return {region.host + offset, std::min(length, region.range.size - offset)};
        }
    return {nullptr, 0};
}

template <class Use>
bool GuestRam::for_each_piece(Gpa at, std::uint64_t length, Use use) const noexcept {
    while (length > 0) {
        const auto [host, size] = piece(at, length);
        if (!host || !use(host, size))
            return false;
        length -= size;
        if (length > 0 && at.value() > ~size)  // the top of the address space
            return false;
        at = Gpa{at.value() + size};
    }
    return true;
}

bool GuestRam::copy_in(Gpa from, std::span<std::byte> to) const noexcept {
    const auto one = piece(from, to.size());
    if (one.size == to.size() && one.host) {
        std::memcpy(to.data(), one.host, to.size());
        return true;
    }
    if (!for_each_piece(from, to.size(), [](auto*, auto) { return true; }))
        return false;
    auto* next = to.data();
    return for_each_piece(from, to.size(), [&next](const std::byte* host, std::uint64_t size) {
        std::memcpy(next, host, size);
        next += size;
        return true;
    });
}

bool GuestRam::copy_out(Gpa to, std::span<const std::byte> from) noexcept {
    const auto one = piece(to, from.size());
    if (one.size == from.size() && one.host) {
        std::memcpy(one.host, from.data(), from.size());
        return true;
    }
    if (!for_each_piece(to, from.size(), [](auto*, auto) { return true; }))
        return false;
    const auto* next = from.data();
    return for_each_piece(to, from.size(), [&next](std::byte* host, std::uint64_t size) {
        std::memcpy(host, next, size);
        next += size;
        return true;
    });
}

std::optional<std::size_t> GuestRam::host_iovecs(Gpa at, std::uint64_t length,
                                                 Transfer /*transfer*/,
                                                 std::span<iovec> out) const noexcept {
    std::size_t used = 0;
    const bool whole = for_each_piece(at, length, [&](std::byte* host, std::uint64_t size) {
        if (used == out.size())
            return false;
        out[used++] = {host, size};
        return true;
    });
    if (!whole)
        return std::nullopt;
    return used;
}

GuestView GuestRam::view(Gpa at, std::uint64_t length) const noexcept {
    const auto [host, size] = piece(at, length);
    if (!host || (size != length && !one_range(at, length)))
        return {};
    return {host, length};
}

/// All of it is RAM, and one piece in the host: regions lie there in their order, without the holes
/// between them.
bool GuestRam::one_range(Gpa at, std::uint64_t length) const noexcept {
    return for_each_piece(at, length, [](auto*, auto) { return true; });
}

}  // namespace vmm
