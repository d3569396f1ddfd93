// SPDX-License-Identifier: Apache-2.0
// Frames from a channel into the buffers of a receive queue.
//
// Spec: virtio 1.3, 5.1.6.3 (buffers), 5.1.6.4 (processing, num_buffers).
// Frames are read straight into the guest's buffers. A tap does not say how long the next frame is,
// so buffers for the longest one are taken from the ring in advance and kept until a frame fills
// them; the host is given as many of them as the last frames needed. Behind them stands memory of
// ours, from which is copied what did not fit: a longer frame's end, what the driver has no room
// for yet, and short frames whole.
// Threads: the I/O thread's. Costs: no allocation after construction but in start().
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "virtio/queue.hpp"
#include "vmm/net_backend.hpp"

namespace vmm::virtio_net {

/// Why a queue came to rest.
enum class Pause : std::uint8_t {
    Idle,     ///< nothing to move; the channel's or the driver's next sign starts it again
    Starved,  ///< the driver has no buffers for us: its next kick starts it again
    Blocked,  ///< the channel has no room: EPOLLOUT starts it again
    Budget,   ///< there is more, but it is somebody else's turn
    Gone,     ///< the channel is dead
};

/// Written by one thread, read by any.
class Counter {
public:
    void operator+=(std::uint64_t more) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }
    void operator++() noexcept { *this += 1; }
    std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

struct Counts {
    Counter frames;
    Counter dropped;
};

class Receiver {
public:
    explicit Receiver(FrameChannel& channel);

    /// Buffers may be merged; frames come with no more left undone than `undone`, and have at most
    /// `longest` bytes.
    struct Rules {
        bool mergeable = false;
        FrameOffloads undone;
        std::size_t longest = kMaxFrame;
    };
    void start(virtio::Queue& queue, Rules rules);
    void set_rules(Rules rules) noexcept { rules_ = rules; }
    /// Forgets the driver's buffers.
    void stop() noexcept;
    bool running() const noexcept { return queue_ != nullptr; }
    virtio::Queue* queue() const noexcept { return queue_; }

    /// Moves frames until one of the reasons comes up. `chain` is working space.
    Pause run(virtio::Chain& chain) noexcept;

    /// Number of the frame that waits until the driver adds buffers; 0: there is none.
    std::uint64_t held_frame() const noexcept {
        return held_ == 0 ? 0 : 1 + counts_.frames.value() + counts_.dropped.value();
    }
    /// It was waited for long enough: the driver's buffers are taken for all that it has, and what
    /// lacks more is dropped.
    void wait_no_longer() noexcept { most_waiting_ = end_waiting_ - first_waiting_; }

    /// Bytes that the next frame will have, if it is like the last ones.
    std::uint64_t expected() const noexcept { return expected_; }

    const Counts& counts() const noexcept { return counts_; }

private:
    /// A chain that waits for a frame.
    struct Waiting {
        virtio::Head head;
        std::uint32_t vectors = 0;
        std::uint64_t bytes = 0;
    };
    static constexpr std::size_t kMaxVectors = 1023;  // IOV_MAX less one for the overflow
    static constexpr unsigned kBudget = 128;          // frames
    static constexpr unsigned kPublishEach = 16;      // chains

    [[nodiscard]] FrameIo receive() noexcept;
    [[nodiscard]] std::span<const iovec> pieces_before(std::size_t end) noexcept;
    [[nodiscard]] bool may_be_segmented(std::byte gso_type) const noexcept;
    [[nodiscard]] bool fill(virtio::Chain& chain, std::uint64_t bytes) noexcept;
    [[nodiscard]] bool take(virtio::Chain& chain) noexcept;
    [[nodiscard]] bool settle(virtio::Chain& chain) noexcept;
    void deliver() noexcept;
    void finish_header(std::uint16_t buffers) noexcept;
    void drop() noexcept;
    void publish() noexcept;
    [[nodiscard]] bool starved() noexcept;
    void make_space() noexcept;
    std::span<const iovec> vectors() const noexcept {
        return std::span{vectors_}.subspan(first_vector_, end_vector_ - first_vector_);
    }

    FrameChannel* channel_;
    virtio::Queue* queue_ = nullptr;
    Rules rules_;
    Counts counts_;

    // Chains that wait, front first, and where they lie; both slide through their arrays.
    std::vector<Waiting> waiting_;
    std::size_t first_waiting_ = 0;
    std::size_t end_waiting_ = 0;
    std::vector<iovec> vectors_;
    std::size_t first_vector_ = 0;
    std::size_t end_vector_ = 0;
    std::vector<iovec> pieces_;     // as the channel is given them
    std::uint64_t room_ = 0;        // bytes of all that wait
    std::size_t most_waiting_ = 0;  // since start() or wait_no_longer()
    std::uint64_t expected_ = 1;    // bytes, as the last frames had
    unsigned unpublished_ = 0;      // chains
    std::unique_ptr<std::byte[]> overflow_;

    // A frame that was read and not delivered yet: header and frame, of which the last bytes are in
    // overflow_. Zero: none.
    std::size_t held_ = 0;
    std::size_t overflowed_ = 0;
};

}  // namespace vmm::virtio_net
