// SPDX-License-Identifier: Apache-2.0
// Which feature bits stand for which offloads, and what a driver may leave undone in a frame.
//
// Spec: virtio 1.3, 5.1.3.1 (bits that need others), 5.1.6.2 (headers of frames to send).
#pragma once

#include <cstddef>
#include <cstdint>

#include "virtio/features.hpp"
#include "vmm/net_backend.hpp"

namespace vmm::virtio_net {

/// HOST_* bits to offer for what a backend takes, and back.
virtio::Features host_features(FrameOffloads takes) noexcept;
FrameOffloads host_offloads(virtio::Features features) noexcept;

/// GUEST_* bits to offer for what a backend gives, and back.
virtio::Features guest_features(FrameOffloads gives) noexcept;
FrameOffloads guest_offloads(virtio::Features features) noexcept;

/// Does each bit come with those that it needs?
bool consistent(virtio::Features features) noexcept;

/// May a frame with this gso_type be passed on?
[[nodiscard]] bool segmentation_allowed(std::uint8_t gso_type, FrameOffloads allowed) noexcept;

/// A driver's header for a frame of `length` bytes: true if it keeps to what was negotiated and
/// makes sense for that frame. Fields that then mean nothing are cleared.
[[nodiscard]] bool accept_header(FrameHeader& header, std::size_t length,
                                 FrameOffloads allowed) noexcept;

}  // namespace vmm::virtio_net
