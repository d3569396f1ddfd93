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
static_assert(Ring<SplitRing<GuestView>> && Ring<PackedRing<GuestView>>);
static_assert(Ring<SplitRing<ScatteredView>> && Ring<PackedRing<ScatteredView>>);
static_assert(kDescriptorSize * Queue::kMaxSize <= ScatteredView::kMaxSize);

/// For all but rings in one piece: keeps what is rare out of the functions that everything runs
/// through, whose stack frames would grow with it.
template <class Work>
[[gnu::noinline, gnu::cold]] auto rarely(Work work) noexcept {
    return work();
}

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

template <bool InPieces, class Use>
auto Queue::ring(Use&& use) noexcept {
    if constexpr (InPieces)
        return packed_ ? use(in_pieces_->packed) : use(in_pieces_->split);
    else
        return packed_ ? use(packed_ring_) : use(split_ring_);
}

template <bool InPieces>
bool Queue::start_rings(Features features, std::optional<RingPosition> from) {
    return ring<InPieces>(
        [&](auto& r) { return r.start(rings_, features, *memory_, from.value_or(r.kBeginning)); });
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
    in_pieces_.reset();
    if (size_ > max_size_)
        return false;
    if (!start_rings<false>(features, from)) {
        in_pieces_ = std::make_unique<RingsInPieces>();
        if (!start_rings<true>(features, from))
            return false;
    }
    // Ids in a split ring are places in it; in a packed ring the driver numbers as it likes.
    claimed_.assign(packed_ ? 0x10000 / kBits : (size_ + kBits - 1) / kBits, 0);
    order_.assign(in_order_ ? size_ : 0, {});
    enabled_ = true;
    state_ = in_pieces_ ? State::InPieces : State::InOnePiece;
    return true;
}

void Queue::stop() noexcept {
    enabled_ = false;
    state_ = State::Stopped;
}

RingPosition Queue::position() const noexcept {
    if (in_pieces_)
        return packed_ ? in_pieces_->packed.position() : in_pieces_->split.position();
    return packed_ ? packed_ring_.position() : split_ring_.position();
}

bool Queue::pop(Chain& chain) noexcept {
    if (state_ != State::InOnePiece) [[unlikely]]
        return rarely(
            [this, &chain] { return state_ == State::InPieces && pop_from<true>(chain); });
    return pop_from<false>(chain);
}

template <bool InPieces>
bool Queue::pop_from(Chain& chain) noexcept {
    // A driver cannot have more than `size_` chains out, malformed or not; behind them is nothing.
    for (unsigned tries = 0; tries <= size_; ++tries) {
        const Pop got = ring<InPieces>([&](auto& r) { return r.pop(chain, *memory_); });
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
// Inline, as it would be with one caller.
[[gnu::always_inline]] inline bool Queue::claim(Chain& chain) noexcept {
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
    if (state_ == State::Stopped) [[unlikely]]
        return;
    release(head);
    if (in_order_)
        order_next_ = head.order;
    if (state_ == State::InPieces)
        ring<true>([&](auto& r) { r.unpop(head); });
    else
        ring<false>([&](auto& r) { r.unpop(head); });
}

void Queue::complete(Head head, std::uint32_t written) noexcept {
    if (state_ != State::InOnePiece) [[unlikely]]
        return rarely([this, head, written] {
            if (state_ == State::InPieces)
                complete_in<true>(head, written);
        });
    complete_in<false>(head, written);
}

template <bool InPieces>
void Queue::complete_in(Head head, std::uint32_t written) noexcept {
    if (!in_order_) {
        put_used<InPieces>(head, written);
        return;
    }
    // A buffer that is done too early waits for those before it.
    order_[head.order].written = written;
    order_[head.order].done = true;
    while (order_[order_first_].done) {
        Ordered& first = order_[order_first_];
        first.done = false;
        order_first_ = static_cast<std::uint16_t>((order_first_ + 1u) % size_);
        put_used<InPieces>(first.head, first.written);
    }
}

template <bool InPieces>
void Queue::put_used(Head head, std::uint32_t written) noexcept {
    release(head);
    ring<InPieces>([&](auto& r) { r.put_used(head, written); });
    ++fresh_;
}

void Queue::publish() noexcept {
    if (fresh_ == 0)
        return;
    if (state_ != State::InOnePiece) [[unlikely]]
        return rarely([this] {
            if (state_ == State::InPieces)
                publish_in<true>();
        });
    publish_in<false>();
}

template <bool InPieces>
void Queue::publish_in() noexcept {
    const std::uint16_t fresh = std::exchange(fresh_, std::uint16_t{0});
    if (ring<InPieces>([&](auto& r) { return r.publish(fresh); }))
        events_->used_buffers(index_);
}

void Queue::disable_kicks() noexcept {
    if (state_ != State::InOnePiece) [[unlikely]]
        return rarely([this] {
            if (state_ == State::InPieces)
                ring<true>([](auto& r) { r.disable_kicks(); });
        });
    ring<false>([](auto& r) { r.disable_kicks(); });
}

bool Queue::enable_kicks() noexcept {
    if (state_ != State::InOnePiece) [[unlikely]]
        return rarely([this] {
            return state_ == State::InPieces &&
                   ring<true>([](auto& r) { return r.enable_kicks(); });
        });
    return ring<false>([](auto& r) { return r.enable_kicks(); });
}

bool Queue::has_next() const noexcept {
    if (state_ != State::InOnePiece) [[unlikely]]
        return rarely([this] {
            return state_ == State::InPieces &&
                   (packed_ ? in_pieces_->packed.has_next() : in_pieces_->split.has_next());
        });
    return packed_ ? packed_ring_.has_next() : split_ring_.has_next();
}

void Queue::fail() noexcept {
    if (std::exchange(broken_, true))
        return;
    state_ = State::Stopped;
    events_->needs_reset();
}

}  // namespace vmm::virtio
