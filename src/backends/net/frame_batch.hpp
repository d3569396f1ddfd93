// SPDX-License-Identifier: Apache-2.0
// Short frames on their way into a tap: kept for a moment, then sent with one call of the kernel.
//
// A tap takes one frame with each write(), and for a short one a good part of that is the way into
// the kernel and back. io_uring takes many at once, each at once or not at all. The ring is made
// only after batches that were worth it; where there is none, each frame is written by itself.
// A frame that the kernel had no room for is sent after those that follow it in the batch.
// Threads: the one that sends. Costs: no allocation but for the ring, once.
#pragma once

#include <liburing.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/net_backend.hpp"

namespace vmm {

/// What an error of read() or write() on a tap says of it.
FrameIo tap_failure(int error) noexcept;

class FrameBatch {
public:
    static constexpr std::size_t kFrames = 32;
    static constexpr std::size_t kLongest = FrameHeader::kSize + kShortFrame;

    /// Into `fd`, which is not to block and is not owned. Without `io_uring`: as where the host
    /// forbids it.
    explicit FrameBatch(int fd, bool io_uring = true);
    ~FrameBatch();
    FrameBatch(const FrameBatch&) = delete;
    FrameBatch& operator=(const FrameBatch&) = delete;

    /// Makes the ring, where it is not yet sure to be worth it: on a thread that may make rings.
    /// Without it the first thread that has use for the ring makes it.
    void prepare() noexcept;

    bool empty() const noexcept { return count_ == 0; }
    bool full() const noexcept { return count_ == kFrames; }
    /// Keeps a copy. Not when full; at most kLongest bytes.
    void add(std::span<const std::byte> frame) noexcept;

    /// Done when none is left, Again when the tap has no room for some, Gone.
    FrameIo::Status send() noexcept;
    /// How many the kernel did not want since it was asked last.
    std::size_t take_lost() noexcept;

    bool sends_by_ring() const noexcept { return use_ == Use::Ring; }

private:
    enum class Use : std::uint8_t { NotYet, Ring, Never };
    static constexpr std::size_t kWorth = 8;  // frames: with fewer the ring gains little
    static constexpr unsigned kOften = 16;    // such batches before there is a ring
    static constexpr unsigned kUseless = 4;   // batches that the kernel would not take at once

    struct Kept {
        std::size_t size;  // zero: sent; not set before it is kept, as nothing else
        std::array<std::byte, kLongest> bytes;
    };

    bool worth_ring() noexcept;
    bool enable_ring() noexcept;
    void send_by_ring() noexcept;
    bool settle(std::size_t index, int result) noexcept;
    void close_ring() noexcept;
    FrameIo::Status send_by_write() noexcept;

    int fd_;
    Use use_;
    unsigned worth_ = 0;
    unsigned useless_ = 0;
    std::size_t count_ = 0;
    std::size_t lost_ = 0;
    bool begun_ = false;  // some may have been sent
    std::unique_ptr<Kept[]> kept_;
    io_uring ring_{};
    bool has_ring_ = false;
};

}  // namespace vmm
