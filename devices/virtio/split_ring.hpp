// SPDX-License-Identifier: Apache-2.0
// The split virtqueue: descriptor table, avail ring, used ring.
//
// Spec: virtio 1.3, 2.7. Threads: the one that owns the queue.
// View: GuestView, or ScatteredView where the host has the ring in pieces; both are instantiated.
#pragma once

#include <cstdint>

#include "virtio/chain.hpp"
#include "virtio/features.hpp"
#include "virtio/ring.hpp"
#include "virtio/scattered_view.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::virtio {

template <class View>
class SplitRing {
public:
    static constexpr RingPosition kBeginning{};

    [[nodiscard]] bool start(const RingConfig& config, Features features, const GuestMemory& memory,
                             RingPosition from);
    RingPosition position() const noexcept { return {next_avail_, next_used_}; }

    Pop pop(Chain& chain, const GuestMemory& memory) noexcept;
    void unpop(Head head) noexcept;
    void put_used(Head head, std::uint32_t written) noexcept;
    /// `fresh` used elements become visible; does the driver want to hear of it?
    bool publish(std::uint16_t fresh) noexcept;
    void disable_kicks() noexcept;
    bool enable_kicks() noexcept;
    bool has_next() const noexcept;

private:
    bool walk(std::uint16_t first, Chain& chain, const GuestMemory& memory) const noexcept;
    bool walk_indirect(const SplitDescriptor& from, Chain& chain,
                       const GuestMemory& memory) const noexcept;

    View descriptors_;
    View avail_;
    View used_;
    std::uint16_t size_ = 0;
    std::uint16_t mask_ = 0;  // size is a power of two
    bool event_idx_ = false;
    bool indirect_ = false;
    std::uint16_t next_avail_ = 0;  // counts on, as the ring's own indices do
    std::uint16_t seen_avail_ = 0;  // what the driver's index was when last looked at
    std::uint16_t next_used_ = 0;
};

extern template class SplitRing<GuestView>;
extern template class SplitRing<ScatteredView>;

}  // namespace vmm::virtio
