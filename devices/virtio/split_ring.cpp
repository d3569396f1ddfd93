// SPDX-License-Identifier: Apache-2.0
#include "virtio/split_ring.hpp"

#include <atomic>
#include <optional>

namespace vmm::virtio {
namespace {

// Avail ring: flags, idx, ring[size], used_event. Spec: 2.7.6.
constexpr std::size_t kAvailFlags = 0;
constexpr std::size_t kAvailIdx = 2;
constexpr std::size_t kAvailRing = 4;
constexpr std::size_t kAvailEntry = 2;  // bytes
constexpr std::uint16_t kNoInterrupt = 1;

// Used ring: flags, idx, ring[size] of {id, length}, avail_event. Spec: 2.7.8.
constexpr std::size_t kUsedFlags = 0;
constexpr std::size_t kUsedIdx = 2;
constexpr std::size_t kUsedRing = 4;
constexpr std::size_t kUsedEntry = 8;  // bytes
constexpr std::uint16_t kNoNotify = 1;

constexpr std::size_t kEvent = 2;  // bytes, after the ring, with EVENT_IDX only

/// Adds a table's chain; `read` gives the descriptor at a place, or nothing.
template <class Read>
bool walk_table(std::size_t entries, Chain& chain, Read read) noexcept {
    std::uint32_t at = 0;
    for (std::size_t count = 0; count < entries && count < Chain::kMaxSegments; ++count) {
        const std::optional<SplitDescriptor> current = read(at);
        if (!current)
            return false;
        const std::uint16_t flags = current->flags;
        if ((flags & descriptor::kIndirect) != 0)
            return false;
        if (!chain.add(Gpa{current->at}, current->length, (flags & descriptor::kWrite) != 0))
            return false;
        if ((flags & descriptor::kNext) == 0)
            return true;
        at = current->next;
        if (at >= entries)
            return false;
    }
    return false;
}

[[gnu::noinline, gnu::cold]] bool walk_table_in_pieces(Gpa at, std::uint32_t length, Chain& chain,
                                                       const GuestMemory& memory) noexcept {
    const TableInPieces table{memory, at, length};
    return table && walk_table(length / kDescriptorSize, chain, [&](std::uint32_t place) {
               return table.read<SplitDescriptor>(place);
           });
}

}  // namespace

template <class View>
bool SplitRing<View>::start(const RingConfig& config, Features features, const GuestMemory& memory,
                            RingPosition from) {
    *this = {};
    next_avail_ = from.available;
    seen_avail_ = from.available;
    next_used_ = from.used;
    size_ = config.size;
    mask_ = static_cast<std::uint16_t>(size_ - 1u);
    event_idx_ = (features & f::kEventIdx) != 0;
    indirect_ = (features & f::kIndirectDescriptors) != 0;
    if (size_ == 0 || (size_ & mask_) != 0)
        return false;
    if (!aligned(config.descriptors, 16) || !aligned(config.driver, 2) ||
        !aligned(config.device, 4))
        return false;

    const std::size_t event = event_idx_ ? kEvent : 0;
    descriptors_ =
        view_of<View>(memory, config.descriptors, kDescriptorSize * size_, Transfer::FromGuest);
    avail_ = view_of<View>(memory, config.driver, kAvailRing + kAvailEntry * size_ + event,
                           Transfer::FromGuest);
    used_ = view_of<View>(memory, config.device, kUsedRing + kUsedEntry * size_ + event,
                          Transfer::ToGuest);
    return descriptors_ && avail_ && used_;
}

template <class View>
Pop SplitRing<View>::pop(Chain& chain, const GuestMemory& memory) noexcept {
    if (next_avail_ == seen_avail_) {
        // Acquire: the entries and descriptors up to the index were written before it.
        seen_avail_ = avail_.template load<std::uint16_t>(kAvailIdx, std::memory_order_acquire);
        const auto ahead = static_cast<std::uint16_t>(seen_avail_ - next_avail_);
        if (ahead > size_) {
            seen_avail_ = next_avail_;
            return Pop::Broken;
        }
        if (ahead == 0)
            return Pop::Nothing;
    }
    const auto first =
        avail_.template load<std::uint16_t>(kAvailRing + kAvailEntry * (next_avail_ & mask_));
    if (first >= size_)
        return Pop::Broken;
    ++next_avail_;
    chain.clear();
    chain.set_head({.id = first, .descriptors = 1});
    return walk(first, chain, memory) ? Pop::Chain : Pop::Malformed;
}

template <class View>
bool SplitRing<View>::walk(std::uint16_t first, Chain& chain,
                           const GuestMemory& memory) const noexcept {
    std::uint16_t at = first;
    // A chain of more descriptors than there are is a loop.
    for (std::uint16_t count = 0; count < size_; ++count) {
        const auto current = load_descriptor<SplitDescriptor>(descriptors_, at);
        const std::uint16_t flags = current.flags;
        if ((flags & descriptor::kIndirect) != 0) {
            // "MUST NOT set both VIRTQ_DESC_F_INDIRECT and VIRTQ_DESC_F_NEXT": the table ends it.
            return indirect_ && (flags & descriptor::kNext) == 0 &&
                   walk_indirect(current, chain, memory);
        }
        if (!chain.add(Gpa{current.at}, current.length, (flags & descriptor::kWrite) != 0))
            return false;
        if ((flags & descriptor::kNext) == 0)
            return true;
        at = current.next;
        if (at >= size_)
            return false;
    }
    return false;
}

template <class View>
bool SplitRing<View>::walk_indirect(const SplitDescriptor& from, Chain& chain,
                                    const GuestMemory& memory) const noexcept {
    if (from.length == 0 || from.length % kDescriptorSize != 0)
        return false;
    const GuestView table = memory.view(Gpa{from.at}, from.length);
    if (!table) [[unlikely]]
        return walk_table_in_pieces(Gpa{from.at}, from.length, chain, memory);
    return walk_table(from.length / kDescriptorSize, chain, [&](std::uint32_t at) {
        return std::optional{table.copy<SplitDescriptor>(kDescriptorSize * at)};
    });
}

template <class View>
void SplitRing<View>::unpop(Head /*head*/) noexcept {
    --next_avail_;
}

template <class View>
void SplitRing<View>::put_used(Head head, std::uint32_t written) noexcept {
    const std::size_t at = kUsedRing + kUsedEntry * (next_used_ & mask_);
    used_.template store<std::uint32_t>(at, head.id);
    used_.template store<std::uint32_t>(at + 4, written);
    ++next_used_;
}

template <class View>
bool SplitRing<View>::publish(std::uint16_t fresh) noexcept {
    // Release: the elements, and what the device wrote into buffers, come before the index.
    used_.template store<std::uint16_t>(kUsedIdx, next_used_, std::memory_order_release);
    // The driver stores its event index and then loads the used index; we store the used index
    // and then load the event index. One of the two must see the other's store, or a wake-up is
    // lost.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!event_idx_)
        return (avail_.template load<std::uint16_t>(kAvailFlags) & kNoInterrupt) == 0;
    const auto event = avail_.template load<std::uint16_t>(kAvailRing + kAvailEntry * size_);
    return passed(event, static_cast<std::uint16_t>(next_used_ - fresh), next_used_);
}

template <class View>
void SplitRing<View>::disable_kicks() noexcept {
    // With EVENT_IDX the event index we leave behind is passed once and then asks for nothing.
    if (!event_idx_)
        used_.template store<std::uint16_t>(kUsedFlags, kNoNotify);
}

template <class View>
bool SplitRing<View>::enable_kicks() noexcept {
    if (event_idx_)
        used_.template store<std::uint16_t>(kUsedRing + kUsedEntry * size_, next_avail_);
    else
        used_.template store<std::uint16_t>(kUsedFlags, 0);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return has_next();
}

template <class View>
bool SplitRing<View>::has_next() const noexcept {
    return avail_.template load<std::uint16_t>(kAvailIdx, std::memory_order_relaxed) != next_avail_;
}

template class SplitRing<GuestView>;
template class SplitRing<ScatteredView>;

}  // namespace vmm::virtio
