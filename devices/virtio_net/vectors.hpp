// Small steps through iovecs.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace vmm::virtio_net {

/// Copies `from` to where byte `offset` of `to` lies; what does not fit is left out.
inline void scatter(std::span<const iovec> to, std::size_t offset,
                    std::span<const std::byte> from) noexcept {
    for (const iovec& piece : to) {
        if (from.empty())
            return;
        if (offset >= piece.iov_len) {
            offset -= piece.iov_len;
            continue;
        }
        const std::size_t bytes = std::min(piece.iov_len - offset, from.size());
        std::memcpy(static_cast<std::byte*>(piece.iov_base) + offset, from.data(), bytes);
        from = from.subspan(bytes);
        offset = 0;
    }
}

}  // namespace vmm::virtio_net
