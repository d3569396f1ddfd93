// SPDX-License-Identifier: Apache-2.0
// The rings themselves: indices that jump, heads that are none, flags that make no sense.
#include "lab.hpp"

namespace guest {
namespace {

// ---- split

void available_index(Lab& lab, u16 ahead) {
    lab.ring().set_available_index(static_cast<u16>(lab.ring().available_index() + ahead));
    lab.kick();
    lab.expect_needs_reset();
}
void index_ahead_by_more_than_the_size(Lab& lab) {
    if (lab.up())
        available_index(lab, static_cast<u16>(lab.ring().size() + 1));
}
void index_ahead_by_8000(Lab& lab) {
    if (lab.up())
        available_index(lab, 0x8000);
}
void index_goes_back(Lab& lab) {
    if (!lab.up() || !lab.works() || !lab.works())
        return;
    lab.ring().set_available_index(static_cast<u16>(lab.ring().available_index() - 1));
    lab.kick();
    lab.expect_needs_reset();
}

// The size itself is allowed; all heads are the same one, which is out already at the second.
void index_ahead_by_the_size(Lab& lab) {
    if (!lab.up())
        return;
    const Chain chain = lab.request();
    for (u16 i = 0; i < chain.count; ++i)
        lab.ring().put_descriptor(i, chain.d[i]);
    lab.ring().set_available_index(lab.ring().size());
    lab.kick();
    // A device that is fast enough serves them one by one, which is as good.
    lab.expect_used_or_reset();
}

void head(Lab& lab, u16 number) {
    if (!lab.up())
        return;
    lab.ring().push_available(number);
    lab.kick();
    lab.expect_needs_reset();
}
void head_is_the_queue_size(Lab& lab) {
    head(lab, 16);
}
void head_is_ffff(Lab& lab) {
    head(lab, 0xffff);
}

void good_then_bad_head(Lab& lab) {
    if (!lab.up())
        return;
    lab.ring().offer(lab.request());
    lab.ring().push_available(0x7fff);
    lab.kick();
    if (lab.expect_used_or_reset())
        lab.expect_needs_reset();
}

// ---- both

// While a request may be under way its head comes again: row 10.
void same_head_twice(Lab& lab) {
    if (!lab.up())
        return;
    const Chain chain = lab.request();
    for (unsigned i = 0; i < 4; ++i)
        lab.ring().offer(chain, 0);
    lab.kick();
    lab.expect_used_or_reset();
}

void suppressed_interrupts(Lab& lab) {
    if (!lab.up())
        return;
    write16(lab.ring().driver() + (lab.packed() ? 2 : 0), 1);
    lab.works();
}

void reserved_suppression(Lab& lab) {
    if (!lab.up())
        return;
    write16(lab.ring().driver() + (lab.packed() ? 2 : 0), 0xffff);
    lab.works();
}

// An event that never comes, one past the ring, one on another lap.
void event_index(Lab& lab, u16 event) {
    if (!lab.up_with(lab.features() | kEventIndex))
        return;
    Ring& ring = lab.ring();
    for (unsigned i = 0; i < 40; ++i) {
        if (ring.packed()) {
            write16(ring.driver(), event);
            write16(ring.driver() + 2, 2);
        } else {
            write16(ring.driver() + 4 + 2ULL * ring.size(), event);
        }
        if (!lab.works())
            return;
    }
}
void event_index_far(Lab& lab) {
    event_index(lab, 0x7fff);
}
void event_index_ffff(Lab& lab) {
    event_index(lab, 0xffff);
}

// The device's half of the ring is written over while it works.
void used_ring_overwritten(Lab& lab) {
    if (!lab.up() || !lab.works())
        return;
    for (u32 i = 0; i < 256; i += 4)
        write32(lab.ring().device() + i, 0xffff'ffff);
    lab.ring().offer(lab.request());
    lab.kick();
    // Nobody can see an answer in there; the next ring can.
}

void ring_overwritten_with_ones(Lab& lab) {
    if (!lab.up() || !lab.works())
        return;
    for (u32 i = 0; i < 4096; i += 4)
        write32(lab.ring().descriptors() + i, 0xffff'ffff);
    lab.kick();
    if (lab.packed())
        return;
    lab.ring().set_available_index(static_cast<u16>(lab.ring().available_index() + 1));
    lab.kick();
    lab.expect_used(0);
}

void kick_with_nothing(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 200; ++i)
        lab.kick();
    lab.works();
}

// Good, malformed, good; where the device promised to answer in order, it does.
void malformed_between_good(Lab& lab) {
    constexpr u64 kInOrder = feature(35);
    if (!lab.up_with(lab.features() | (lab.device.offered() & kInOrder)))
        return;
    const Chain good = lab.request();
    Chain bad;
    bad.add(buffers.data, 16, kWrite).add(buffers.header, 16).link();
    const auto place = [&](Chain chain, u16 id) {
        for (u16 i = 0; i < chain.count; ++i)
            chain.d[i].next = static_cast<u16>(chain.d[i].next + id);
        lab.ring().offer(chain, id);
    };
    place(good, 0);
    place(bad, 4);
    place(good, 8);
    lab.kick();
    unsigned seen = 0;
    for (unsigned i = 0; i < 3; ++i) {
        if (!lab.expect_used())
            return;
        seen |= 1U << lab.last.id;
        if (lab.last.id == 4 && !lab.expect(lab.last.length, 0, "the malformed chain's length is"))
            return;
    }
    if (lab.expect(seen, 0x111, "the ids that came back are"))
        lab.works();
}

// ---- packed

void id_ffff(Lab& lab) {
    if (!lab.up())
        return;
    lab.ring().offer(lab.request(), 0xffff);
    lab.kick();
    if (lab.expect_used() && lab.expect(lab.last.id, 0xffff, "the id that came back is"))
        lab.works();
}

void wrong_lap(Lab& lab) {
    if (!lab.up())
        return;
    // Neither available nor used: as if nothing were there.
    write16(lab.ring().descriptors() + 14, kAvail | kUsed);
    lab.kick();
    write16(lab.ring().descriptors() + 14, 0);
    lab.works();
}

void second_descriptor_of_another_lap(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request().cut(0, 1);
    chain.d[1].flags |= kUsed;
    lab.submit(chain);
    if (lab.expect_used())
        lab.works();
}

// The first descriptor says that more follow, and what follows was never written.
void chain_runs_into_empty_places(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.last().flags |= kNext;
    lab.submit(chain);
    lab.expect_used_or_reset();
}

constexpr Case kCases[] = {
    {5, "index_ahead_by_more_than_the_size", kSplit, nullptr, index_ahead_by_more_than_the_size},
    {5, "index_ahead_by_8000", kSplit, nullptr, index_ahead_by_8000},
    {5, "index_goes_back", kSplit, nullptr, index_goes_back},
    {10, "index_ahead_by_the_size_of_one_head", kSplit, nullptr, index_ahead_by_the_size},
    {5, "head_is_the_queue_size", kSplit, nullptr, head_is_the_queue_size},
    {5, "head_is_ffff", kSplit, nullptr, head_is_ffff},
    {5, "good_head_then_bad_head", kSplit, nullptr, good_then_bad_head},
    {10, "same_head_twice", kBoth, nullptr, same_head_twice},
    {11, "malformed_chain_between_good_ones", kBoth, nullptr, malformed_between_good},
    {8, "interrupts_suppressed", kBoth, nullptr, suppressed_interrupts},
    {8, "suppression_flags_reserved", kBoth, nullptr, reserved_suppression},
    {8, "event_index_far", kBoth, nullptr, event_index_far},
    {8, "event_index_ffff", kBoth, nullptr, event_index_ffff},
    {8, "used_ring_overwritten", kBoth, nullptr, used_ring_overwritten},
    {5, "ring_overwritten_with_ones", kBoth, nullptr, ring_overwritten_with_ones},
    {16, "kicks_with_nothing", kBoth, nullptr, kick_with_nothing},
    {4, "id_is_ffff", kPacked, nullptr, id_ffff},
    {5, "wrong_lap", kPacked, nullptr, wrong_lap},
    {5, "second_descriptor_of_another_lap", kPacked, nullptr, second_descriptor_of_another_lap},
    {5, "chain_runs_into_empty_places", kPacked, nullptr, chain_runs_into_empty_places},
};

}  // namespace

Cases ring_cases() {
    return cases(kCases);
}

}  // namespace guest
