// SPDX-License-Identifier: Apache-2.0
#include "virtio/packed_ring.hpp"

#include <atomic>
#include <optional>

namespace vmm::virtio {
namespace {

// A descriptor. Spec: 2.8.13.
constexpr std::size_t kId = 12;
constexpr std::size_t kLength = 8;
constexpr std::size_t kFlags = 14;

// Event suppression, the driver's and ours. Spec: 2.8.14.
constexpr std::size_t kEventAt = 0;  // 15 bits of place, 1 of lap
constexpr std::size_t kEventFlags = 2;
constexpr std::size_t kEventSize = 4;  // bytes
constexpr std::uint16_t kEventEnable = 0;
constexpr std::uint16_t kEventDisable = 1;
constexpr std::uint16_t kEventDescriptor = 2;
constexpr std::uint16_t kEventFlagsMask = 3;

/// Adds all of a table; `read` gives the descriptor at a place, or nothing.
template <class Read>
bool add_table(std::size_t entries, Chain& chain, Read read) noexcept {
    if (entries > Chain::kMaxSegments)
        return false;
    for (std::size_t i = 0; i < entries; ++i) {
        const std::optional<PackedDescriptor> current = read(i);
        if (!current)
            return false;
        // Of the flags only WRITE means something here; INDIRECT is a driver that nests tables.
        if ((current->flags & descriptor::kIndirect) != 0)
            return false;
        if (!chain.add(Gpa{current->at}, current->length,
                       (current->flags & descriptor::kWrite) != 0))
            return false;
    }
    return true;
}

[[gnu::noinline, gnu::cold]] bool add_table_in_pieces(Gpa at, std::uint32_t length, Chain& chain,
                                                      const GuestMemory& memory) noexcept {
    const TableInPieces table{memory, at, length};
    return table && add_table(length / kDescriptorSize, chain, [&](std::size_t place) {
               return table.read<PackedDescriptor>(place);
           });
}

}  // namespace

template <class View>
bool PackedRing<View>::start(const RingConfig& config, Features features, const GuestMemory& memory,
                             RingPosition from) {
    *this = {};
    size_ = config.size;
    next_avail_ = Position::of(from.available);
    next_used_ = Position::of(from.used);
    published_ = next_used_;
    if (next_avail_.at >= size_ || next_used_.at >= size_)
        return false;
    event_idx_ = (features & f::kEventIdx) != 0;
    indirect_ = (features & f::kIndirectDescriptors) != 0;
    if (size_ == 0 || !aligned(config.descriptors, 16) || !aligned(config.driver, 4) ||
        !aligned(config.device, 4))
        return false;

    ring_ = view_of<View>(memory, config.descriptors, kDescriptorSize * size_, Transfer::ToGuest);
    driver_event_ = view_of<View>(memory, config.driver, kEventSize, Transfer::FromGuest);
    device_event_ = view_of<View>(memory, config.device, kEventSize, Transfer::ToGuest);
    return ring_ && driver_event_ && device_event_;
}

template <class View>
typename PackedRing<View>::Position PackedRing<View>::advanced(Position from,
                                                               std::uint16_t by) const noexcept {
    const unsigned at = from.at + unsigned{by};
    if (at < size_)
        return {static_cast<std::uint16_t>(at), from.wrap};
    return {static_cast<std::uint16_t>(at - size_), !from.wrap};
}

template <class View>
bool PackedRing<View>::available(std::uint16_t flags) const noexcept {
    const bool avail = (flags & descriptor::kAvail) != 0;
    const bool used = (flags & descriptor::kUsed) != 0;
    return avail == next_avail_.wrap && used != next_avail_.wrap;
}

template <class View>
Pop PackedRing<View>::pop(Chain& chain, const GuestMemory& memory) noexcept {
    // Acquire: the driver writes the flags of a chain's first descriptor last.
    auto flags = ring_.template load<std::uint16_t>(kDescriptorSize * next_avail_.at + kFlags,
                                                    std::memory_order_acquire);
    if (!available(flags))
        return Pop::Nothing;

    chain.clear();
    bool good = true;
    Position place = next_avail_;
    for (std::uint16_t count = 1; count <= size_; ++count) {
        const auto current = load_descriptor<PackedDescriptor>(ring_, place.at);
        if (count > 1)
            flags = current.flags;
        const bool last = (flags & descriptor::kNext) == 0;
        // Once a chain has gone wrong only its end is of interest: there its id stands.
        if ((flags & descriptor::kIndirect) != 0)
            good = good && last && add_indirect(current, chain, memory);
        else
            good = good &&
                   chain.add(Gpa{current.at}, current.length, (flags & descriptor::kWrite) != 0);
        place = advanced(place, 1);
        if (last) {
            next_avail_ = place;
            chain.set_head({.id = current.id, .descriptors = count});
            return good ? Pop::Chain : Pop::Malformed;
        }
    }
    return Pop::Broken;
}

template <class View>
bool PackedRing<View>::add_indirect(const PackedDescriptor& from, Chain& chain,
                                    const GuestMemory& memory) const noexcept {
    if (!indirect_ || from.length == 0 || from.length % kDescriptorSize != 0)
        return false;
    const GuestView table = memory.view(Gpa{from.at}, from.length);
    if (!table) [[unlikely]]
        return add_table_in_pieces(Gpa{from.at}, from.length, chain, memory);
    return add_table(from.length / kDescriptorSize, chain, [&](std::size_t at) {
        return std::optional{table.copy<PackedDescriptor>(kDescriptorSize * at)};
    });
}

template <class View>
void PackedRing<View>::unpop(Head head) noexcept {
    // Back by n places is a lap less size - n places forward.
    next_avail_ = advanced(next_avail_, static_cast<std::uint16_t>(size_ - head.descriptors));
    next_avail_.wrap = !next_avail_.wrap;
}

template <class View>
void PackedRing<View>::put_used(Head head, std::uint32_t written) noexcept {
    const std::size_t at = kDescriptorSize * next_used_.at;
    ring_.template store<std::uint16_t>(at + kId, head.id);
    ring_.template store<std::uint32_t>(at + kLength, written);
    std::uint16_t flags = written > 0 ? descriptor::kWrite : std::uint16_t{0};
    if (next_used_.wrap)
        flags = static_cast<std::uint16_t>(flags | descriptor::kAvail | descriptor::kUsed);
    // The driver reads used descriptors in their order: as long as it does not see the first one of
    // a batch it sees none, and then all of them at once. Receive buffers that were merged into
    // one frame rely on that.
    if (next_used_ == published_)
        first_flags_ = flags;
    else
        ring_.template store<std::uint16_t>(at + kFlags, flags);
    next_used_ = advanced(next_used_, head.descriptors);
}

template <class View>
bool PackedRing<View>::publish(std::uint16_t /*fresh*/) noexcept {
    const Position from = published_;
    published_ = next_used_;
    // Release: ids, lengths, buffers and the other flags come before those that give them away.
    ring_.template store<std::uint16_t>(kDescriptorSize * from.at + kFlags, first_flags_,
                                        std::memory_order_release);
    // As with a split ring: used flags first, then the driver's wish.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const auto wish =
        driver_event_.template load<std::uint16_t>(kEventFlags, std::memory_order_acquire) &
        kEventFlagsMask;
    if (wish == kEventDisable)
        return false;
    if (wish != kEventDescriptor || !event_idx_)
        return true;

    const auto event = driver_event_.template load<std::uint16_t>(kEventAt);
    // All places as distances from the start of the lap that we are on now; those of the lap
    // before are negative and wrap, as `passed` expects.
    const auto on_this_lap = [&](std::uint16_t place, bool wrap) {
        return static_cast<std::uint16_t>(wrap == next_used_.wrap ? place : place - size_);
    };
    return passed(
        on_this_lap(static_cast<std::uint16_t>(event & ~kWrapCounter), (event & kWrapCounter) != 0),
        on_this_lap(from.at, from.wrap), next_used_.at);
}

template <class View>
void PackedRing<View>::disable_kicks() noexcept {
    if (!event_idx_)
        device_event_.template store<std::uint16_t>(kEventFlags, kEventDisable);
}

template <class View>
bool PackedRing<View>::enable_kicks() noexcept {
    if (event_idx_) {
        device_event_.template store<std::uint16_t>(kEventAt, next_avail_.word());
        device_event_.template store<std::uint16_t>(kEventFlags, kEventDescriptor,
                                                    std::memory_order_release);
    } else {
        device_event_.template store<std::uint16_t>(kEventFlags, kEventEnable);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return has_next();
}

template <class View>
bool PackedRing<View>::has_next() const noexcept {
    return available(ring_.template load<std::uint16_t>(kDescriptorSize * next_avail_.at + kFlags));
}

template class PackedRing<GuestView>;
template class PackedRing<ScatteredView>;

}  // namespace vmm::virtio
