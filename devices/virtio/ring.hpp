// SPDX-License-Identifier: Apache-2.0
// What split and packed rings have in common: descriptors, where they are, how a pop can end.
//
// Spec: virtio 1.3, 2.7.5 (split descriptor), 2.8.13 (packed descriptor), 2.7.5.3 and 2.8.8
// (indirect tables).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "virtio/chain.hpp"
#include "virtio/features.hpp"
#include "vmm/gpa.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::virtio {

/// What the driver wrote into a queue's registers. `size` was checked against the maximum.
struct RingConfig {
    std::uint16_t size = 0;
    Gpa descriptors;  ///< split: descriptor table; packed: descriptor ring
    Gpa driver;       ///< split: avail ring; packed: driver event suppression
    Gpa device;       ///< split: used ring; packed: device event suppression
};
constexpr bool aligned(Gpa at, std::uint64_t to) {
    return at.value() % to == 0;
}

/// How far a queue has come, as vhost and vDPA write it. Split: the indices, which count on, of the
/// next avail and the next used entry. Packed: places in the ring, with the wrap counter in bit 15.
struct RingPosition {
    std::uint16_t available = 0;
    std::uint16_t used = 0;

    bool operator==(const RingPosition&) const = default;
};
inline constexpr std::uint16_t kWrapCounter = 1u << 15;

/// Little endian, as is every field of virtio 1.
struct SplitDescriptor {
    std::uint64_t at;      //  0
    std::uint32_t length;  //  8
    std::uint16_t flags;   // 12
    std::uint16_t next;    // 14
};
struct PackedDescriptor {
    std::uint64_t at;      //  0
    std::uint32_t length;  //  8
    std::uint16_t id;      // 12
    std::uint16_t flags;   // 14
};
inline constexpr std::size_t kDescriptorSize = 16;  // bytes
static_assert(sizeof(SplitDescriptor) == kDescriptorSize && offsetof(SplitDescriptor, next) == 14);
static_assert(sizeof(PackedDescriptor) == kDescriptorSize &&
              offsetof(PackedDescriptor, flags) == 14);

/// A descriptor of a ring, which is aligned: two loads, so that a driver that writes it at the same
/// time is a torn value at worst.
template <class Descriptor, class View>
Descriptor load_descriptor(const View& ring, std::uint16_t index) {
    const std::size_t at = kDescriptorSize * index;
    const std::array<std::uint64_t, 2> halves{ring.template load<std::uint64_t>(at),
                                              ring.template load<std::uint64_t>(at + 8)};
    return std::bit_cast<Descriptor>(halves);
}

/// An indirect table that the host has in pieces. Rare, so each descriptor is looked for anew.
class TableInPieces {
public:
    /// False if it is longer than any chain, or not RAM as a whole, or in smaller pieces than
    /// pages.
    TableInPieces(const GuestMemory& memory, Gpa at, std::uint32_t length) noexcept
        : memory_{memory}, at_{at} {
        std::array<iovec, Chain::kMaxSegments * kDescriptorSize / 4096 + 1> pieces{};
        good_ = length <= Chain::kMaxSegments * kDescriptorSize &&
                memory.host_iovecs(at, length, Transfer::FromGuest, pieces);
    }
    explicit operator bool() const noexcept { return good_; }

    template <class Descriptor>
    std::optional<Descriptor> read(std::size_t index) const noexcept {
        Descriptor value{};
        if (!memory_.copy_in(Gpa{at_.value() + kDescriptorSize * index},
                             std::as_writable_bytes(std::span{&value, 1})))
            return std::nullopt;
        return value;
    }

private:
    const GuestMemory& memory_;
    Gpa at_;
    bool good_ = false;
};

namespace descriptor {
inline constexpr std::uint16_t kNext = 1;
inline constexpr std::uint16_t kWrite = 2;
inline constexpr std::uint16_t kIndirect = 4;
inline constexpr std::uint16_t kAvail = 1u << 7;  // packed
inline constexpr std::uint16_t kUsed = 1u << 15;  // packed
}  // namespace descriptor

enum class Pop : std::uint8_t {
    Nothing,
    Chain,
    Malformed,  ///< the chain's head is set, its segments are not to be used
    Broken,     ///< the ring itself makes no sense
};

/// Has the event index `event` been passed on the way from `from` to `to`?
/// Spec: virtio 1.3, 2.7.7.2 (vring_need_event).
constexpr bool passed(std::uint16_t event, std::uint16_t from, std::uint16_t to) {
    return static_cast<std::uint16_t>(to - event - 1u) < static_cast<std::uint16_t>(to - from);
}
static_assert(passed(0, 0, 1) && !passed(1, 0, 1) && passed(0xffff, 0xfffe, 2));

}  // namespace vmm::virtio
