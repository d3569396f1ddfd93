// SPDX-License-Identifier: Apache-2.0
// Frames from a transmit queue into a channel.
//
// Spec: virtio 1.3, 5.1.6.2. The header is copied, checked and used; the frame goes from the
// guest's memory to the host without a copy, unless it is short. A frame whose header or memory is
// wrong is dropped and counted, and its buffer goes back: nothing that a driver sends stops the
// queue. Threads: the I/O thread's. Costs: no allocation after construction but in start().
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "virtio/queue.hpp"
#include "virtio_net/receiver.hpp"
#include "vmm/net_backend.hpp"

namespace vmm::virtio_net {

class Transmitter {
public:
    explicit Transmitter(FrameChannel& channel);

    void start(virtio::Queue& queue, FrameOffloads allowed);
    void stop() noexcept { queue_ = nullptr; }
    /// The channel is known to be gone, whatever it still says to those who send.
    void lose() noexcept;
    bool running() const noexcept { return queue_ != nullptr; }
    virtio::Queue* queue() const noexcept { return queue_; }

    /// Moves frames until one of the reasons comes up. Once the channel is gone it takes frames and
    /// drops them. `chain` is working space.
    Pause run(virtio::Chain& chain) noexcept;

    const Counts& counts() const noexcept { return counts_; }

private:
    static constexpr std::size_t kMaxVectors = 1024;  // IOV_MAX
    static constexpr unsigned kBudget = 128;          // frames
    static constexpr unsigned kPublishEach = 16;      // frames

    FrameIo send(const virtio::Chain& chain) noexcept;
    FrameIo send_copy(virtio::Cursor& frame, std::uint64_t length) noexcept;
    void account(FrameIo::Status status) noexcept;
    bool flush() noexcept;
    Pause stuck() const noexcept { return gone_ ? Pause::Gone : Pause::Blocked; }

    FrameChannel* channel_;
    virtio::Queue* queue_ = nullptr;
    FrameOffloads allowed_;
    std::size_t kept_ = 0;    // frames that the channel will send with the next flush()
    bool unflushed_ = false;  // flush() waits for room in the channel
    bool gone_ = false;
    Counts counts_;
    FrameHeader header_;
    std::vector<iovec> vectors_;
    std::unique_ptr<std::byte[]> in_one_piece_;
};

}  // namespace vmm::virtio_net
