// SPDX-License-Identifier: Apache-2.0
// A Linux tap interface as the host's side of a network device.
//
// Taps are opened by name (and made, where we may), or come as descriptors that whoever started us
// has opened: tap queues, or macvtap's character devices. Frames carry the virtio header
// (IFF_VNET_HDR), several queues need IFF_MULTI_QUEUE.
// Threads: vmm/net_backend.hpp. Left out: addresses, routes and bridges of the host are whoever
// made the interface's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "vmm/error.hpp"
#include "vmm/net_backend.hpp"

namespace vmm {

struct TapOptions {
    std::string name;                  ///< empty: the kernel picks one
    std::size_t queues = 1;            ///< pairs of them
    std::optional<std::uint16_t> mtu;  ///< set on the interface
};

/// Opens the tap, or makes it if there is none of that name; one that we made is brought up, and
/// goes when we go.
Result<std::unique_ptr<NetBackend>> open_tap(const TapOptions& options);

/// Takes descriptors that we inherited, one for each pair of queues. They are ours from here on.
Result<std::unique_ptr<NetBackend>> adopt_tap(std::span<const std::uint32_t> fds);

}  // namespace vmm
