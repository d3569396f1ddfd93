// SPDX-License-Identifier: Apache-2.0
// One request for random bytes: straight from the source into guest RAM, bounded.
//
// Spec: virtio 1.3, 5.4.6. Threads: the one that owns the queue.
#pragma once

#include <cstdint>

#include "virtio/chain.hpp"
#include "vmm/entropy_source.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::virtio_rng {

/// Bytes one request gets at most.
inline constexpr std::uint32_t kMaxBytes = 64 << 10;

/// Fills the writable part of `chain` from the front, up to kMaxBytes or the first address that is
/// not RAM. Gives the length for the used ring.
std::uint32_t fill(const virtio::Chain& chain, const GuestMemory& memory,
                   EntropySource& source) noexcept;

}  // namespace vmm::virtio_rng
