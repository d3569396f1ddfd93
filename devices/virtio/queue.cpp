// SPDX-License-Identifier: Apache-2.0
#include "virtio/queue.hpp"

#include <bit>
#include <concepts>
#include <utility>

#include "vmm/assert.hpp"

namespace vmm::virtio {
namespace {

constexpr unsigned kBits = 64;

/// What a Queue needs of either kind of ring.
template <class R>
concept Ring = requires(R ring, const R& same, const RingConfig& config, GuestMemory& memory,
                        Chain& chain, Head head, std::uint16_t number, std::uint32_t written) {
    { R::kBeginning } -> std::convertible_to<RingPosition>;
    { ring.start(config, Features{}, memory, R::kBeginning) } -> std::same_as<bool>;
    { same.position() }
    noexcept->std::same_as<RingPosition>;
    { ring.pop(chain, memory) }
    noexcept->std::same_as<Pop>;
    { ring.unpop(head) }
    noexcept;
    { ring.put_used(head, written) }
    noexcept;
    { ring.publish(number) }
    noexcept->std::same_as<bool>;
    { ring.disable_kicks() }
    noexcept;
    { ring.enable_kicks() }
    noexcept->std::same_as<bool>;
    { same.has_next() }
    noexcept->std::same_as<bool>;
};
static_assert(Ring<SplitRing> && Ring<PackedRing>);

}  // namespace

Queue::Queue(std::uint16_t index, std::uint16_t max_size, EventFd kick, GuestMemory& memory,
             QueueEvents& events)
    : index_{index},
      max_size_{max_size},
      kick_{std::move(kick)},
      memory_{&memory},
      events_{&events} {
    VMM_ASSERT(std::has_single_bit(max_size) && max_size <= kMaxSize);
}

bool Queue::start(const RingConfig& config, Features features, std::optional<RingPosition> from) {
    VMM_ASSERT(!enabled_);
    packed_ = (features & f::kRingPacked) != 0;
    in_order_ = (features & f::kInOrder) != 0;
    rings_ = config;
    size_ = config.size;
    broken_ = false;
    in_flight_ = 0;
    in_flight_descriptors_ = 0;
    fresh_ = 0;
    order_first_ = 0;
    order_next_ = 0;
    const bool good = size_ <= max_size_ && ring([&](auto& r) {
                          return r.start(config, features, *memory_, from.value_or(r.kBeginning));
                      });
    if (!good)
        return false;
    // Ids in a split ring are places in it; in a packed ring the driver numbers as it likes.
    claimed_.assign(packed_ ? 0x10000 / kBits : (size_ + kBits - 1) / kBits, 0);
    order_.assign(in_order_ ? size_ : 0, {});
    enabled_ = true;
    return true;
}

void Queue::stop() noexcept {
    enabled_ = false;
}

bool Queue::pop(Chain& chain) noexcept {
    if (broken_ || !enabled_) [[unlikely]]
        return false;
    // A driver cannot have more than `size_` chains out, malformed or not; behind them is nothing.
    for (unsigned tries = 0; tries <= size_; ++tries) {
        const Pop got = ring([&](auto& r) { return r.pop(chain, *memory_); });
        if (got == Pop::Nothing)
            return false;
        if (got == Pop::Broken || !claim(chain))
            break;
        if (got == Pop::Chain)
            return true;
        // Malformed: the driver's again, and at once. What is popped next may be out for long, and
        // a device that got nothing has nothing to publish.
        complete(chain.head(), 0);
        publish();
    }
    fail();
    return false;
}

// A head that is in flight belongs to the device; a driver that offers it again would have us
// complete it twice, and what the first use of it points to freed under the second.
bool Queue::claim(Chain& chain) noexcept {
    Head head = chain.head();
    std::uint64_t& word = claimed_[head.id / kBits];
    const std::uint64_t bit = std::uint64_t{1} << (head.id % kBits);
    if ((word & bit) != 0 || in_flight_descriptors_ + head.descriptors > size_) [[unlikely]]
        return false;
    word |= bit;
    ++in_flight_;
    in_flight_descriptors_ = static_cast<std::uint16_t>(in_flight_descriptors_ + head.descriptors);
    if (in_order_) {
        head.order = order_next_;
        order_[order_next_] = {.head = head};
        order_next_ = static_cast<std::uint16_t>((order_next_ + 1u) % size_);
        chain.set_head(head);
    }
    return true;
}

void Queue::release(Head head) noexcept {
    std::uint64_t& word = claimed_[head.id / kBits];
    const std::uint64_t bit = std::uint64_t{1} << (head.id % kBits);
    VMM_ASSERT((word & bit) != 0);  // a device that completes what it does not have
    word &= ~bit;
    --in_flight_;
    in_flight_descriptors_ = static_cast<std::uint16_t>(in_flight_descriptors_ - head.descriptors);
}

void Queue::unpop(Head head) noexcept {
    if (broken_ || !enabled_) [[unlikely]]
        return;
    release(head);
    if (in_order_)
        order_next_ = head.order;
    ring([&](auto& r) { r.unpop(head); });
}

void Queue::complete(Head head, std::uint32_t written) noexcept {
    if (broken_ || !enabled_) [[unlikely]]
        return;
    if (!in_order_) {
        put_used(head, written);
        return;
    }
    // A buffer that is done too early waits for those before it.
    order_[head.order].written = written;
    order_[head.order].done = true;
    while (order_[order_first_].done) {
        Ordered& first = order_[order_first_];
        first.done = false;
        order_first_ = static_cast<std::uint16_t>((order_first_ + 1u) % size_);
        put_used(first.head, first.written);
    }
}

void Queue::put_used(Head head, std::uint32_t written) noexcept {
    release(head);
    ring([&](auto& r) { r.put_used(head, written); });
    ++fresh_;
}

void Queue::publish() noexcept {
    if (fresh_ == 0 || broken_)
        return;
    const std::uint16_t fresh = std::exchange(fresh_, std::uint16_t{0});
    if (ring([&](auto& r) { return r.publish(fresh); }))
        events_->used_buffers(index_);
}

void Queue::disable_kicks() noexcept {
    if (enabled_ && !broken_)
        ring([](auto& r) { r.disable_kicks(); });
}

bool Queue::enable_kicks() noexcept {
    if (!enabled_ || broken_)
        return false;
    return ring([](auto& r) { return r.enable_kicks(); });
}

bool Queue::has_next() const noexcept {
    if (!enabled_ || broken_)
        return false;
    return packed_ ? packed_ring_.has_next() : split_ring_.has_next();
}

void Queue::fail() noexcept {
    if (std::exchange(broken_, true))
        return;
    events_->needs_reset();
}

}  // namespace vmm::virtio
