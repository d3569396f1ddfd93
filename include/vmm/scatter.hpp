// SPDX-License-Identifier: Apache-2.0
// Bytes of ours into memory that lies in pieces.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace vmm {

/// Copies `from` to where byte `offset` of `to` lies; what does not fit is left out. Gives how much
/// did fit.
inline std::size_t scatter(std::span<const iovec> to, std::size_t offset,
                           std::span<const std::byte> from) noexcept {
    const std::size_t whole = from.size();
    for (const iovec& piece : to) {
        if (from.empty())
            break;
        if (offset >= piece.iov_len) {
            offset -= piece.iov_len;
            continue;
        }
        const std::size_t bytes = std::min(piece.iov_len - offset, from.size());
        std::memcpy(static_cast<std::byte*>(piece.iov_base) + offset, from.data(), bytes);
        from = from.subspan(bytes);
        offset = 0;
    }
    return whole - from.size();
}

}  // namespace vmm
