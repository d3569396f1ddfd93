// SPDX-License-Identifier: Apache-2.0
#include "virtio_rng/fill.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace vmm::virtio_rng {

std::uint32_t fill(const virtio::Chain& chain, const GuestMemory& memory,
                   EntropySource& source) noexcept {
    // A segment lies in one region of RAM, or in two that touch; more is not worth room.
    std::array<iovec, 4> pieces{};
    std::uint32_t done = 0;
    for (const virtio::Segment& segment : chain.writable()) {
        const std::uint32_t length = std::min(segment.length, kMaxBytes - done);
        const auto count = memory.host_iovecs(segment.at, length, Transfer::ToGuest, pieces);
        if (!count)
            break;
        for (const iovec& piece : std::span{pieces}.first(*count))
            source.fill({static_cast<std::byte*>(piece.iov_base), piece.iov_len});
        done += length;
        if (done == kMaxBytes)
            break;
    }
    return done;
}

}  // namespace vmm::virtio_rng
