// SPDX-License-Identifier: Apache-2.0
// The driver's half of one virtqueue, split or packed, that writes whatever it is told to.
//
// Nothing is checked here: chains loop, point nowhere or never end if the case says so. One chain
// is usually out at a time, and its descriptors start at place 0 (split) or at the next place of
// the ring (packed).
#pragma once

#include "machine.hpp"

namespace guest {

enum class RingKind : u8 { Split, Packed };

inline constexpr u16 kNext = 1;
inline constexpr u16 kWrite = 2;
inline constexpr u16 kIndirect = 4;
inline constexpr u16 kAvail = 1U << 7;
inline constexpr u16 kUsed = 1U << 15;

/// As in a split table; a packed ring takes an id in place of `next`.
struct Descriptor {
    u64 at = 0;
    u32 length = 0;
    u16 flags = 0;
    u16 next = 0;
};
static_assert(sizeof(Descriptor) == 16);

struct Used {
    u16 id = 0;
    u32 length = 0;
};

/// A few descriptors that belong together.
struct Chain {
    static constexpr u16 kMost = 40;
    Descriptor d[kMost] = {};
    u16 count = 0;

    Chain& add(const volatile void* at, u32 length, u16 flags = 0);
    Chain& add_at(u64 at, u32 length, u16 flags = 0);
    /// NEXT on all but the last, in the order in which they stand.
    Chain& link();
    /// Makes two descriptors of number `i`, the first of `head` bytes.
    Chain& cut(u16 i, u32 head);
    Descriptor& last() { return d[count - 1]; }
};

class Ring {
public:
    static constexpr u16 kMostEntries = 256;

    /// Empty, as it is before a queue is enabled. `size` is up to kMostEntries.
    void clear(RingKind kind, u16 size);

    RingKind kind() const { return kind_; }
    bool packed() const { return kind_ == RingKind::Packed; }
    u16 size() const { return size_; }
    u64 descriptors() const { return address_of(memory_->descriptors); }
    u64 driver() const { return address_of(memory_->driver); }
    u64 device() const { return address_of(memory_->device); }

    /// Makes a chain available as it stands. Its id is `id`; in a split ring its descriptors are
    /// put at the places from `id` on, and `next` is left as it is.
    void offer(const Chain& chain, u16 id = 0);
    /// The oldest used buffer that was not seen yet.
    bool take_used(Used& used);
    /// Forgets all that was used up to now; gives how many.
    unsigned drain();

    // What is wrong on purpose.

    void put_descriptor(u16 place, const Descriptor& descriptor);
    /// Split: appends `head` to the available ring.
    void push_available(u16 head);
    u16 available_index() const { return available_; }
    void set_available_index(u16 to);

private:
    struct Memory {
        alignas(4096) volatile u8 descriptors[4096];
        alignas(4096) volatile u8 driver[4096];
        alignas(4096) volatile u8 device[4096];
    };
    friend class RingMemory;

    void offer_packed(const Chain& chain, u16 id);
    bool take_used_packed(Used& used);

    RingKind kind_ = RingKind::Split;
    u16 size_ = 0;
    u16 available_ = 0;  // split: index; packed: place
    u16 used_ = 0;
    bool available_lap_ = true;
    bool used_lap_ = true;
    u16 places_[kMostEntries] = {};  // packed: how many a chain takes, by id
    Memory* memory_ = nullptr;
};

/// Rings have memory of their own, page by page: number 0 to kMostRings - 1.
class RingMemory {
public:
    static constexpr unsigned kMostRings = 24;
    static void give(Ring& ring, unsigned number);
};

}  // namespace guest
