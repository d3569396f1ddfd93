// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/receiver.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "virtio_net/offloads.hpp"
#include "vmm/scatter.hpp"

namespace vmm::virtio_net {
namespace {

constexpr std::size_t kLargest = FrameHeader::kSize + kMaxFrame;

// Zero if there are fewer.
std::byte byte_of(std::span<const iovec> pieces, std::size_t offset) noexcept {
    for (const iovec& piece : pieces) {
        if (offset < piece.iov_len)
            return static_cast<const std::byte*>(piece.iov_base)[offset];
        offset -= piece.iov_len;
    }
    return {};
}

const void* end_of(const iovec& piece) noexcept {
    return static_cast<const std::byte*>(piece.iov_base) + piece.iov_len;
}

// Moves what waits to the front of its array once as much has left it. So an array of twice what
// can wait never runs out, and the few that usually wait stay in a few cache lines.
template <class T>
void bring_forward(std::vector<T>& all, std::size_t& first, std::size_t& end) noexcept {
    constexpr std::size_t kNotWorthIt = 64;
    if (first != end && first < std::max(kNotWorthIt, end - first))
        return;
    std::copy(all.data() + first, all.data() + end, all.data());
    end -= std::exchange(first, 0);
}

}  // namespace

Receiver::Receiver(FrameChannel& channel)
    : channel_{&channel}, overflow_{std::make_unique_for_overwrite<std::byte[]>(kLargest)} {}

void Receiver::start(virtio::Queue& queue, Rules rules) {
    stop();
    // Here and not at construction: a guest that never uses the device costs no memory for it.
    waiting_.resize(2 * std::size_t{virtio::Queue::kMaxSize});
    vectors_.resize(2 * kMaxVectors);
    pieces_.resize(kMaxVectors + 1);
    queue_ = &queue;
    rules_ = rules;
}

void Receiver::stop() noexcept {
    queue_ = nullptr;
    first_waiting_ = 0;
    end_waiting_ = 0;
    first_vector_ = 0;
    end_vector_ = 0;
    room_ = 0;
    most_waiting_ = 0;
    held_ = 0;
    overflowed_ = 0;
    expected_ = 1;
    unpublished_ = 0;
}

// NOLINTNEXTLINE(readability-function-size): one turn, told from front to back
Pause Receiver::run(virtio::Chain& chain) noexcept {
    queue_->disable_kicks();
    for (unsigned frames = 0; frames < kBudget; ++frames) {
        if (unpublished_ >= kPublishEach)
            publish();
        if (held_ == 0) {
            (void)fill(chain, rules_.mergeable ? FrameHeader::kSize + rules_.longest : 1);
            if (first_waiting_ == end_waiting_) {
                if (starved())
                    return Pause::Starved;
                continue;
            }
            const FrameIo io = receive();
            if (io.status == FrameIo::Status::Again || io.status == FrameIo::Status::Gone) {
                publish();
                return io.status == FrameIo::Status::Again ? Pause::Idle : Pause::Gone;
            }
            if (io.status == FrameIo::Status::Dropped || io.bytes < FrameHeader::kSize) {
                ++counts_.dropped;
                continue;
            }
            held_ = io.bytes;
        }
        if (!settle(chain) && starved())
            return Pause::Starved;
    }
    publish();
    return Pause::Budget;
}

// The kernel looks at every piece that a frame is offered, so it is offered what the last ones
// needed, which is none if they were short; what a longer one has more lands in overflow_ and is
// copied. Frames grow at once and shrink slowly.
FrameIo Receiver::receive() noexcept {
    std::size_t end = rules_.mergeable ? first_vector_ : end_vector_;
    std::uint64_t offered = rules_.mergeable ? 0 : room_;
    while (end < end_vector_ && offered < expected_ && expected_ > kShortFrame)
        offered += vectors_[end++].iov_len;
    const auto pieces = pieces_before(end);
    const FrameIo io = channel_->receive(pieces);
    const bool wanted = io.status != FrameIo::Status::Done ||
                        may_be_segmented(byte_of(pieces, offsetof(FrameHeader, gso_type)));
    if (!wanted)
        return {.status = FrameIo::Status::Dropped};
    if (io.status != FrameIo::Status::Done)
        return io;
    overflowed_ = io.bytes - std::min<std::uint64_t>(io.bytes, offered);
    expected_ = std::max<std::uint64_t>(io.bytes, expected_ - expected_ / 8);
    return io;
}

// What waits before `end`, and overflow_ at its end. Drivers cut their buffers one after the other
// from larger pieces of memory, so many of them touch: the kernel is given those as one, which
// saves it looking at each.
std::span<const iovec> Receiver::pieces_before(std::size_t end) noexcept {
    std::size_t count = 0;
    for (std::size_t i = first_vector_; i < end; ++i) {
        const iovec& next = vectors_[i];
        if (count > 0 && end_of(pieces_[count - 1]) == next.iov_base)
            pieces_[count - 1].iov_len += next.iov_len;
        else
            pieces_[count++] = next;
    }
    pieces_[count++] = {overflow_.get(), kLargest};
    return std::span{pieces_}.first(count);
}

// Spec: 5.1.6.4.1: no gso_type that was not negotiated. The host may still have such frames, from
// before this driver or from before it changed its mind.
bool Receiver::may_be_segmented(std::byte gso_type) const noexcept {
    const auto type = std::to_integer<std::uint8_t>(gso_type);
    return type == FrameHeader::kGsoNone || segmentation_allowed(type, rules_.undone);
}

void Receiver::publish() noexcept {
    queue_->publish();
    unpublished_ = 0;
}

// Takes chains from the ring until there is room for `bytes` or there are no more. False if there
// are more, but one readv cannot be given them.
bool Receiver::fill(virtio::Chain& chain, std::uint64_t bytes) noexcept {
    make_space();
    bool placed = true;
    // Chains without room go back at once: the ring's size bounds how many are looked at.
    for (unsigned tries = 0; placed && room_ < bytes && tries < queue_->size(); ++tries) {
        if (!queue_->pop(chain))
            break;
        placed = take(chain);
    }
    most_waiting_ = std::max(most_waiting_, end_waiting_ - first_waiting_);
    return placed;
}

// Appends the chain to those that wait. False, and the chain is the driver's again, if there is no
// place for it now.
bool Receiver::take(virtio::Chain& chain) noexcept {
    const std::size_t used = end_vector_ - first_vector_;
    const auto free = std::span{vectors_}.subspan(end_vector_, kMaxVectors - used);
    if (used > 0 && chain.writable().size() > free.size()) {
        queue_->unpop(chain.head());
        return false;
    }
    const auto count = chain.writer().iovecs(queue_->memory(), chain.writable_bytes(), free);
    if (!count || *count == 0) {
        // Not RAM, nothing to write to, or more pieces than any readv takes.
        queue_->complete(chain.head(), 0);
        return true;
    }
    waiting_[end_waiting_++] = {.head = chain.head(),
                                .vectors = static_cast<std::uint32_t>(*count),
                                .bytes = chain.writable_bytes()};
    end_vector_ += *count;
    room_ += chain.writable_bytes();
    return true;
}

void Receiver::make_space() noexcept {
    bring_forward(vectors_, first_vector_, end_vector_);
    bring_forward(waiting_, first_waiting_, end_waiting_);
}

// The frame that was read goes to the driver, or waits for more buffers; unless the driver has
// given as many as it ever did, and the frame is too large for it. Whoever calls run() sees to it
// that the wait has an end: many drivers add buffers only when they are given a used one.
bool Receiver::settle(virtio::Chain& chain) noexcept {
    if (overflowed_ == 0) {
        deliver();
        return true;
    }
    if (!rules_.mergeable) {
        drop();
        return true;
    }
    const std::size_t as_ever = most_waiting_;
    const bool placed = fill(chain, held_);
    if (room_ >= held_) {
        scatter(vectors(), held_ - overflowed_, {overflow_.get(), overflowed_});
        deliver();
        return true;
    }
    if (placed && end_waiting_ - first_waiting_ < as_ever)
        return false;
    drop();
    return true;
}

void Receiver::deliver() noexcept {
    std::uint16_t buffers = 0;
    for (std::uint64_t bytes = 0; bytes < held_; ++buffers)
        bytes += waiting_[first_waiting_ + buffers].bytes;
    finish_header(buffers);
    for (std::uint64_t left = held_; left > 0;) {
        const Waiting& first = waiting_[first_waiting_++];
        const std::uint64_t written = std::min(left, first.bytes);
        queue_->complete(first.head, static_cast<std::uint32_t>(written));
        left -= written;
        ++unpublished_;
        room_ -= first.bytes;
        first_vector_ += first.vectors;
    }
    held_ = 0;
    overflowed_ = 0;
    ++counts_.frames;
}

// Spec: 5.1.6.4.1: "The device MUST set num_buffers to 1" without MRG_RXBUF, and flags to zero
// without GUEST_CSUM.
void Receiver::finish_header(std::uint16_t buffers) noexcept {
    const std::array<std::uint16_t, 1> number{buffers};
    scatter(vectors(), offsetof(FrameHeader, num_buffers), std::as_bytes(std::span{number}));
    if (rules_.undone.checksum)
        return;
    const std::array flags{std::byte{0}};
    scatter(vectors(), offsetof(FrameHeader, flags), flags);
}

void Receiver::drop() noexcept {
    held_ = 0;
    overflowed_ = 0;
    ++counts_.dropped;
}

// Nothing can go on without buffers: true if the driver will kick when it has some.
bool Receiver::starved() noexcept {
    publish();
    if (!queue_->enable_kicks())
        return true;
    queue_->disable_kicks();
    return false;
}

}  // namespace vmm::virtio_net
