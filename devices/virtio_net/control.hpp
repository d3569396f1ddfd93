// SPDX-License-Identifier: Apache-2.0
// The commands of the control queue.
//
// Spec: virtio 1.3, 5.1.6.5. Receive modes and address tables are accepted and not applied:
// filtering is best effort, and all that comes through a channel is meant for this device. VLAN
// filters, RSS and notification coalescing are not offered. Threads: the I/O thread's.
#pragma once

#include <cstdint>

#include "virtio/chain.hpp"
#include "virtio/features.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/net_backend.hpp"

namespace vmm::virtio_net {

/// What a valid command does.
class ControlTarget {
public:
    virtual ~ControlTarget() = default;
    /// False if there are not so many, or none.
    virtual bool set_pairs(std::uint16_t pairs) noexcept = 0;
    virtual void set_mac(const MacAddress& mac) noexcept = 0;
    virtual void acknowledge_announcement() noexcept = 0;
    /// GUEST_* bits, all of them negotiated.
    virtual void set_guest_offloads(virtio::Features bits) noexcept = 0;
};

/// Carries out the command that `reader` stands before; gives the acknowledgement.
[[nodiscard]] std::uint8_t run_command(virtio::Cursor reader, const GuestMemory& memory,
                                       virtio::Features features, ControlTarget& target) noexcept;

}  // namespace vmm::virtio_net
