// SPDX-License-Identifier: Apache-2.0
#include "ring.hpp"

namespace guest {
namespace {

volatile u8* at(volatile u8* base, u32 offset) {
    return base + offset;
}

void put16(volatile u8* where, u16 value) {
    write16(address_of(where), value);
}
u16 get16(const volatile u8* where) {
    return read16(address_of(where));
}

void wipe(volatile u8* bytes, unsigned count) {
    for (unsigned i = 0; i < count; i += 8)
        write64(address_of(bytes + i), 0);
}

}  // namespace

Chain& Chain::add(const volatile void* where, u32 length, u16 flags) {
    return add_at(address_of(where), length, flags);
}

Chain& Chain::add_at(u64 where, u32 length, u16 flags) {
    d[count++] = {.at = where, .length = length, .flags = flags};
    return *this;
}

Chain& Chain::link() {
    for (u16 i = 0; i < count; ++i) {
        const bool more = i + 1 < count;
        d[i].flags = static_cast<u16>(more ? d[i].flags | kNext : d[i].flags & ~kNext);
        d[i].next = static_cast<u16>(more ? i + 1 : 0);
    }
    return *this;
}

Chain& Chain::cut(u16 i, u32 head) {
    for (u16 from = count; from > i; --from)
        d[from] = d[from - 1];
    ++count;
    d[i].length = head;
    d[i + 1].at += head;
    d[i + 1].length -= head;
    return link();
}

void Ring::clear(RingKind kind, u16 size) {
    kind_ = kind;
    size_ = size;
    available_ = 0;
    used_ = 0;
    available_lap_ = true;
    used_lap_ = true;
    wipe(memory_->descriptors, sizeof memory_->descriptors);
    wipe(memory_->driver, sizeof memory_->driver);
    wipe(memory_->device, sizeof memory_->device);
    fence();
}

void Ring::put_descriptor(u16 place, const Descriptor& descriptor) {
    const u64 where = descriptors() + place * 16ULL;
    write64(where, descriptor.at);
    write32(where + 8, descriptor.length);
    write32(where + 12, u32{descriptor.next} << 16 | descriptor.flags);
}

void Ring::push_available(u16 head) {
    put16(at(memory_->driver, 4 + 2U * (available_ % size_)), head);
    set_available_index(static_cast<u16>(available_ + 1));
}

void Ring::set_available_index(u16 to) {
    available_ = to;
    fence();
    put16(at(memory_->driver, 2), to);
    fence();
}

void Ring::offer(const Chain& chain, u16 id) {
    if (packed())
        return offer_packed(chain, id);
    for (u16 i = 0; i < chain.count; ++i)
        put_descriptor(static_cast<u16>(id + i), chain.d[i]);
    push_available(id);
}

// The flags of the first descriptor come last: they give the chain away.
void Ring::offer_packed(const Chain& chain, u16 id) {
    const u16 first = available_;
    u16 first_flags = 0;
    for (u16 i = 0; i < chain.count; ++i) {
        const u64 where = descriptors() + available_ * 16ULL;
        const auto flags = static_cast<u16>(chain.d[i].flags | (available_lap_ ? kAvail : kUsed));
        write64(where, chain.d[i].at);
        write32(where + 8, chain.d[i].length);
        write16(where + 12, id);
        if (i == 0)
            first_flags = flags;
        else
            write16(where + 14, flags);
        if (++available_ == size_) {
            available_ = 0;
            available_lap_ = !available_lap_;
        }
    }
    places_[id % kMostEntries] = chain.count;
    fence();
    write16(descriptors() + first * 16ULL + 14, first_flags);
    fence();
}

bool Ring::take_used(Used& used) {
    if (packed())
        return take_used_packed(used);
    if (get16(at(memory_->device, 2)) == used_)
        return false;
    fence_reads();
    const u64 entry = device() + 4 + 8ULL * (used_ % size_);
    used = {.id = static_cast<u16>(read32(entry)), .length = read32(entry + 4)};
    ++used_;
    return true;
}

bool Ring::take_used_packed(Used& used) {
    const u64 where = descriptors() + used_ * 16ULL;
    const u16 flags = read16(where + 14);
    const bool avail_bit = (flags & kAvail) != 0;
    const bool used_bit = (flags & kUsed) != 0;
    if (avail_bit != used_lap_ || used_bit != used_lap_)
        return false;
    fence_reads();
    used = {.id = read16(where + 12), .length = read32(where + 8)};
    used_ = static_cast<u16>(used_ + places_[used.id % kMostEntries]);
    if (used_ >= size_) {
        used_ = static_cast<u16>(used_ - size_);
        used_lap_ = !used_lap_;
    }
    return true;
}

unsigned Ring::drain() {
    unsigned count = 0;
    for (Used used; take_used(used);)
        ++count;
    return count;
}

void RingMemory::give(Ring& ring, unsigned number) {
    static Ring::Memory memory[kMostRings];
    ring.memory_ = &memory[number];
}

}  // namespace guest
