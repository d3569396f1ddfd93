// SPDX-License-Identifier: Apache-2.0
// The packed virtqueue: one ring of descriptors that both sides write.
//
// Spec: virtio 1.3, 2.8. Threads: the one that owns the queue.
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
class PackedRing {
public:
    static constexpr RingPosition kBeginning{.available = kWrapCounter, .used = kWrapCounter};

    /// False, too, if `from` is not in the ring.
    [[nodiscard]] bool start(const RingConfig& config, Features features, const GuestMemory& memory,
                             RingPosition from);
    RingPosition position() const noexcept { return {next_avail_.word(), next_used_.word()}; }

    Pop pop(Chain& chain, const GuestMemory& memory) noexcept;
    void unpop(Head head) noexcept;
    void put_used(Head head, std::uint32_t written) noexcept;
    /// Shows the driver all that was put since the last call, which must be something. Does it want
    /// to hear of it?
    bool publish(std::uint16_t fresh) noexcept;
    void disable_kicks() noexcept;
    bool enable_kicks() noexcept;
    bool has_next() const noexcept;

private:
    /// A place in the ring and the lap it is on.
    struct Position {
        std::uint16_t at = 0;
        bool wrap = true;

        static constexpr Position of(std::uint16_t word) {
            return {static_cast<std::uint16_t>(word & ~kWrapCounter), (word & kWrapCounter) != 0};
        }
        constexpr std::uint16_t word() const {
            return static_cast<std::uint16_t>(at | (wrap ? kWrapCounter : 0));
        }
        friend bool operator==(const Position&, const Position&) = default;
    };

    Position advanced(Position from, std::uint16_t by) const noexcept;
    bool available(std::uint16_t flags) const noexcept;
    bool add_indirect(const PackedDescriptor& from, Chain& chain,
                      const GuestMemory& memory) const noexcept;

    View ring_;
    View driver_event_;
    View device_event_;
    std::uint16_t size_ = 0;
    bool event_idx_ = false;
    bool indirect_ = false;
    Position next_avail_;
    Position next_used_;
    Position published_;             // next_used_ at the last publish()
    std::uint16_t first_flags_ = 0;  // of the descriptor at published_, which waits for publish()
};

extern template class PackedRing<GuestView>;
extern template class PackedRing<ScatteredView>;

}  // namespace vmm::virtio
