// SPDX-License-Identifier: Apache-2.0
// One virtqueue, split or packed, from the device's side.
//
// Spec: virtio 1.3, 2.6 to 2.8. Handles indirect descriptors, EVENT_IDX, IN_ORDER.
// What the driver gets wrong: a ring that can no longer be trusted (index ahead by more than the
// size, head out of range or in flight already) makes the device ask for a reset; a chain that is
// malformed in itself comes back to the driver with length 0 and the next one is looked at.
//
// Threads and ownership: a Queue belongs to the register side (vCPU threads, under the device's
// lock) until Device::activate() or start_queue() hands it over, then to one I/O thread until that
// says Link::reset_done() or queue_stopped(). kick() may be called by anyone at any time.
// Costs: no allocation, no lock, no system call except publish() when the driver wants to hear.
//
// An I/O thread serves a queue like this:
//
//     do {
//         queue.disable_kicks();
//         while (queue.pop(chain))
//             ... queue.complete(chain.head(), bytes_written);   // now or later, in any order
//         queue.publish();
//     } while (queue.enable_kicks());
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "virtio/chain.hpp"
#include "virtio/features.hpp"
#include "virtio/packed_ring.hpp"
#include "virtio/ring.hpp"
#include "virtio/split_ring.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::virtio {

/// What a queue tells its transport. Leaf calls, from the thread that owns the queue.
class QueueEvents {
public:
    virtual ~QueueEvents() = default;
    /// The driver wants to know that buffers were used.
    virtual void used_buffers(std::uint16_t queue) noexcept = 0;
    /// The ring is broken: DEVICE_NEEDS_RESET.
    virtual void needs_reset() noexcept = 0;
};

class Queue {
public:
    static constexpr std::uint16_t kMaxSize = 1024;

    /// `max_size` is a power of two up to kMaxSize.
    Queue(std::uint16_t index, std::uint16_t max_size, EventFd kick, GuestMemory& memory,
          QueueEvents& events);

    std::uint16_t index() const noexcept { return index_; }
    std::uint16_t max_size() const noexcept { return max_size_; }
    std::uint16_t size() const noexcept { return size_; }  ///< as the driver chose it
    /// The driver set this queue up; one that is not enabled must be left alone.
    bool enabled() const noexcept { return enabled_; }
    GuestMemory& memory() const noexcept { return *memory_; }

    // The I/O thread's side.

    /// The next chain the driver made available; false when there is none (or the ring is broken).
    /// Publishes malformed chains that it met on the way, and with them what was completed before.
    [[nodiscard]] bool pop(Chain& chain) noexcept;

    /// Gives back the chain that was popped last, as if it had not been; more than one in reverse
    /// order, as long as nothing else was popped in between.
    void unpop(Head head) noexcept;

    /// The driver's again, with `written` bytes put into its writable part. Visible to it from
    /// publish() on, together with all others that were completed since the last one.
    void complete(Head head, std::uint32_t written) noexcept;

    /// Shows the driver what was completed, and interrupts it once if it wants that.
    void publish() noexcept;

    /// Asks the driver not to kick for now. A hint.
    void disable_kicks() noexcept;
    /// Asks for a kick at the next chain; true if one has come in the meantime, so look again.
    [[nodiscard]] bool enable_kicks() noexcept;

    /// There is a chain to pop. Costs a load, and promises nothing: the driver may take it back.
    bool has_next() const noexcept;

    /// The device found the driver beyond help: no more chains, DEVICE_NEEDS_RESET.
    void fail() noexcept;
    bool broken() const noexcept { return broken_; }

    /// Popped and not completed yet; never more than size().
    std::uint16_t in_flight() const noexcept { return in_flight_; }

    // The doorbell.

    const EventFd& kick_event() const noexcept { return kick_; }
    void kick() const noexcept { kick_.signal(); }

    // The register side.

    /// Resolves the rings and starts from their beginning, or from where another left off. False if
    /// they are misaligned or not RAM, or have no such position. Each may lie in pieces of the
    /// host, if these are whole pages of the guest.
    [[nodiscard]] bool start(const RingConfig& config, Features features,
                             std::optional<RingPosition> from = std::nullopt);
    void stop() noexcept;
    /// What it was started with last.
    const RingConfig& rings() const noexcept { return rings_; }
    /// Where it is, or was when it was stopped. Exact once everything is completed and published.
    RingPosition position() const noexcept;

    /// Where another device goes on. Chains that are in flight are taken again then: only a device
    /// that completes in order may have any.
    RingPosition next_position() const noexcept {
        const RingPosition now = position();
        return {.available = in_flight_ == 0 ? now.available : now.used, .used = now.used};
    }

private:
    /// Chains in the order in which they were popped; IN_ORDER only.
    struct Ordered {
        Head head;
        std::uint32_t written = 0;
        bool done = false;
    };

    /// What enabled_, broken_ and in_pieces_ amount to: one comparison on the data path.
    enum class State : std::uint8_t { Stopped, InOnePiece, InPieces };

    /// Where the host has them in pieces.
    struct RingsInPieces {
        SplitRing<ScatteredView> split;
        PackedRing<ScatteredView> packed;
    };

    // What the functions above do, in two versions; InPieces is which rings.

    template <bool InPieces, class Use>
    auto ring(Use&& use) noexcept;
    template <bool InPieces>
    bool start_rings(Features features, std::optional<RingPosition> from);
    template <bool InPieces>
    bool pop_from(Chain& chain) noexcept;
    template <bool InPieces>
    void complete_in(Head head, std::uint32_t written) noexcept;
    template <bool InPieces>
    void publish_in() noexcept;
    template <bool InPieces>
    void put_used(Head head, std::uint32_t written) noexcept;

    bool claim(Chain& chain) noexcept;
    void release(Head head) noexcept;

    std::uint16_t index_;
    std::uint16_t max_size_;
    std::uint16_t size_ = 0;
    bool enabled_ = false;
    bool packed_ = false;
    bool in_order_ = false;
    bool broken_ = false;
    State state_ = State::Stopped;
    std::uint16_t in_flight_ = 0;
    std::uint16_t in_flight_descriptors_ = 0;
    std::uint16_t fresh_ = 0;  // completed since publish()
    std::uint16_t order_first_ = 0;
    std::uint16_t order_next_ = 0;
    RingConfig rings_;
    EventFd kick_;
    GuestMemory* memory_;
    QueueEvents* events_;
    SplitRing<GuestView> split_ring_;
    PackedRing<GuestView> packed_ring_;
    std::unique_ptr<RingsInPieces> in_pieces_;  ///< null: the two above
    std::vector<std::uint64_t> claimed_;        // a bit for each id; sized by start()
    std::vector<Ordered> order_;
};

}  // namespace vmm::virtio
