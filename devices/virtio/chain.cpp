// SPDX-License-Identifier: Apache-2.0
#include "virtio/chain.hpp"

#include <algorithm>

#include "vmm/assert.hpp"

namespace vmm::virtio {

Cursor::Cursor(std::span<const Segment> segments, Transfer transfer) noexcept
    : segments_{segments}, transfer_{transfer} {
    for (const Segment& segment : segments)
        remaining_ += segment.length;
}

// Goes `length` bytes on, calling step(where, bytes) for each piece in one segment.
template <class Step>
bool Cursor::walk(std::uint64_t length, Step&& step) noexcept {
    if (length > remaining_)
        return false;
    remaining_ -= length;
    while (length > 0) {
        const Segment& segment = segments_.front();
        const auto piece = std::min<std::uint64_t>(length, segment.length - offset_);
        // A segment that runs over the end of the address space is not RAM; it need not wrap here.
        if (piece > 0 && !step(Gpa{segment.at.value() + offset_}, piece))
            return false;
        offset_ += static_cast<std::uint32_t>(piece);
        length -= piece;
        if (offset_ == segment.length) {
            segments_ = segments_.subspan(1);
            offset_ = 0;
        }
    }
    return true;
}

bool Cursor::copy_in(const GuestMemory& memory, std::span<std::byte> to) noexcept {
    VMM_DEBUG_ASSERT(transfer_ == Transfer::FromGuest);
    return walk(to.size(), [&](Gpa at, std::uint64_t bytes) {
        const auto piece = to.first(bytes);
        to = to.subspan(bytes);
        return memory.copy_in(at, piece);
    });
}

bool Cursor::copy_out(GuestMemory& memory, std::span<const std::byte> from) noexcept {
    VMM_DEBUG_ASSERT(transfer_ == Transfer::ToGuest);
    return walk(from.size(), [&](Gpa at, std::uint64_t bytes) {
        const auto piece = from.first(bytes);
        from = from.subspan(bytes);
        return memory.copy_out(at, piece);
    });
}

bool Cursor::skip(std::uint64_t length) noexcept {
    return walk(length, [](Gpa, std::uint64_t) { return true; });
}

std::optional<std::size_t> Cursor::iovecs(const GuestMemory& memory, std::uint64_t length,
                                          std::span<iovec> out) noexcept {
    std::size_t used = 0;
    const bool whole = walk(length, [&](Gpa at, std::uint64_t bytes) {
        const auto filled = memory.host_iovecs(at, bytes, transfer_, out.subspan(used));
        used += filled.value_or(0);
        return filled.has_value();
    });
    if (!whole)
        return std::nullopt;
    return used;
}

std::optional<Cursor> Cursor::split_tail(std::uint64_t length) noexcept {
    if (length > remaining_)
        return std::nullopt;
    Cursor tail = *this;
    if (!tail.skip(remaining_ - length))
        return std::nullopt;
    remaining_ -= length;
    return tail;
}

}  // namespace vmm::virtio
