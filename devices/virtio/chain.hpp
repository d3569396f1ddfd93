// SPDX-License-Identifier: Apache-2.0
// A descriptor chain after it was copied out of guest memory and checked, and ways through it.
//
// Spec: virtio 1.3, 2.7.5 and 2.8.6 (descriptor chains), 2.7.4.2 (readable before writable).
// A chain holds addresses, not pointers: that a segment is RAM is found out where it is used, by
// GuestMemory. Lengths are bytes.
// Threads: the one that owns the queue.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>

#include "vmm/gpa.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::virtio {

struct Segment {
    Gpa at;
    std::uint32_t length = 0;
};

/// Names a chain between Queue::pop() and Queue::complete(). Plain data: keep it with the request.
struct Head {
    std::uint16_t id = 0;           ///< descriptor index (split) or buffer id (packed)
    std::uint16_t descriptors = 0;  ///< how many places of a packed ring it takes
    std::uint16_t order = 0;        ///< where it stands among those in flight (IN_ORDER)
};

/// A way through segments, front to back. A copy of it is a bookmark.
/// Functions that give false or nothing have met the end, or an address that is not RAM; the
/// position is then of no use and the request should be refused as a whole.
/// It goes one way: to read what the device may only write is our own bug.
class Cursor {
public:
    Cursor(std::span<const Segment> segments, Transfer transfer) noexcept;
    /// `bytes` is the sum of their lengths.
    Cursor(std::span<const Segment> segments, std::uint64_t bytes, Transfer transfer) noexcept
        : segments_{segments}, remaining_{bytes}, transfer_{transfer} {}

    std::uint64_t remaining() const noexcept { return remaining_; }

    [[nodiscard]] bool copy_in(const GuestMemory& memory, std::span<std::byte> to) noexcept;
    [[nodiscard]] bool copy_out(GuestMemory& memory, std::span<const std::byte> from) noexcept;
    [[nodiscard]] bool skip(std::uint64_t length) noexcept;

    template <class T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] std::optional<T> read(const GuestMemory& memory) noexcept {
        T value;
        if (!copy_in(memory, std::as_writable_bytes(std::span{&value, 1})))
            return std::nullopt;
        return value;
    }

    template <class T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] bool write(GuestMemory& memory, const T& value) noexcept {
        return copy_out(memory, std::as_bytes(std::span{&value, 1}));
    }

    /// Where the next `length` bytes lie in the host, for one readv or writev; gives how many of
    /// `out` were filled. Nothing is copied.
    [[nodiscard]] std::optional<std::size_t> iovecs(const GuestMemory& memory, std::uint64_t length,
                                                    std::span<iovec> out) noexcept;

    /// A cursor over the last `length` bytes, which this one then ends before: for what stands at
    /// the end of a request (a status byte). Nothing if fewer remain.
    [[nodiscard]] std::optional<Cursor> split_tail(std::uint64_t length) noexcept;

private:
    template <class Step>
    bool walk(std::uint64_t length, Step&& step) noexcept;

    std::span<const Segment> segments_;
    std::uint64_t remaining_ = 0;
    std::uint32_t offset_ = 0;  // into the first of segments_
    Transfer transfer_;
};

/// 16 KiB: make one per queue and pop into it again and again; not on the stack, not per request.
/// Of that only what chains needed is ever touched.
class Chain {
public:
    static constexpr std::size_t kMaxSegments = 1024;
    static constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 32;

    Head head() const noexcept { return head_; }

    std::span<const Segment> readable() const noexcept { return {segments(), readable_}; }
    std::span<const Segment> writable() const noexcept {
        return {segments() + readable_, count_ - readable_};
    }
    std::uint64_t readable_bytes() const noexcept { return readable_bytes_; }
    std::uint64_t writable_bytes() const noexcept { return bytes_ - readable_bytes_; }

    Cursor reader() const noexcept { return {readable(), readable_bytes(), Transfer::FromGuest}; }
    Cursor writer() const noexcept { return {writable(), writable_bytes(), Transfer::ToGuest}; }

    // The rings' side.

    void clear() noexcept {
        count_ = 0;
        readable_ = 0;
        bytes_ = 0;
        readable_bytes_ = 0;
        head_ = {};
    }
    /// False if the chain is too long, or a readable segment follows a writable one.
    [[nodiscard]] bool add(Gpa at, std::uint32_t length, bool writable) noexcept {
        if (!writable && readable_ != count_)
            return false;
        bytes_ += length;
        if (bytes_ > kMaxBytes || count_ == kMaxSegments)
            return false;
        if (length == 0)
            return true;
        std::construct_at(segments() + count_++, Segment{at, length});
        if (!writable) {
            readable_ = count_;
            readable_bytes_ = bytes_;
        }
        return true;
    }
    void set_head(Head head) noexcept { head_ = head; }

private:
    const Segment* segments() const noexcept {
        return reinterpret_cast<const Segment*>(segments_.data());
    }
    Segment* segments() noexcept { return reinterpret_cast<Segment*>(segments_.data()); }

    std::size_t count_ = 0;
    std::size_t readable_ = 0;  // the first so many segments
    std::uint64_t bytes_ = 0;
    std::uint64_t readable_bytes_ = 0;
    Head head_;
    /// Bytes, which nobody sets to zero: made into segments one by one.
    alignas(Segment) std::array<std::byte, kMaxSegments * sizeof(Segment)> segments_;
};

}  // namespace vmm::virtio
