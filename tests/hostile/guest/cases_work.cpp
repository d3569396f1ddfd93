// SPDX-License-Identifier: Apache-2.0
// Work without bounds: what is outstanding is bounded in number by the ring, but not in bytes, nor
// in time. A reset must not wait for all of it, whatever the device does with requests of half a
// gigabyte each.
//
// The disk's own are in cases_block.cpp.
#include "work.hpp"

namespace guest {
namespace {

constexpr u64 kFar = kSpareRam;
constexpr u32 kPiece = 4U << 20;
constexpr u16 kPieces = 120;
constexpr unsigned kEntry = 16;
constexpr u64 kWhile = u64{1} << 27;  // cycles: some 50 ms

// A good request, whose bulk is the same memory over and over.
Chain largest(Lab& lab) {
    const Chain good = lab.request();
    u16 entries = 0;
    const auto put = [&](u64 at, u32 length, u16 flags) {
        const u64 entry = address_of(buffers.table) + kEntry * u64{entries};
        write64(entry, at);
        write32(entry + 8, length);
        write16(entry + 12, flags);
        write16(entry + 14, ++entries);
    };
    for (u16 i = 0; i < good.count; ++i) {
        const auto flags = static_cast<u16>((good.d[i].flags & kWrite) | kNext);
        if (i != lab.kind->data)
            put(good.d[i].at, good.d[i].length, flags);
        else
            for (u16 piece = 0; piece < kPieces; ++piece)
                put(kFar, kPiece, flags);
    }
    const u64 last = address_of(buffers.table) + kEntry * (entries - 1U);
    write16(last + 12, static_cast<u16>(read16(last + 12) & ~kNext));
    Chain chain;
    return chain.add(buffers.table, kEntry * entries, kIndirect);
}

// Of a network device also the queue that it receives into.
template <class Offer>
void offer_everywhere(Lab& lab, Offer offer) {
    if (lab.kind->type == 1) {
        Chain room;
        room.add_at(kFar, kPiece, kWrite);
        lab.use(0);
        offer(room);
        lab.use(lab.kind->queue);
    }
    offer(largest(lab));
}

void reset_under_all_work(Lab& lab) {
    if (!give_all_there_is(lab))
        return;
    for (const Deadline soon{kWhile}; !soon.over();)
        give_again(lab);
    lab.busy = true;
    lab.expect(lab.device.reset(), "a reset waits for all that is outstanding");
}

void queue_reset_under_all_work(Lab& lab) {
    if (!give_all_there_is(lab))
        return;
    lab.busy = true;
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueReset, 1);
    for (const Deadline late; lab.device.get16(reg::kQueueReset) != 0;)
        if (late.over()) {
            lab.fail("a reset of a queue waits for all that is outstanding");
            return;
        }
    lab.expect(lab.device.reset(), "a reset waits for all that is outstanding");
}

constexpr Case kCases[] = {
    {36, "reset_under_all_work_there_is", kBoth, "net", reset_under_all_work},
    {36, "reset_under_all_work_there_is", kBoth, "console", reset_under_all_work},
    {36, "reset_under_all_work_there_is", kBoth, "ports", reset_under_all_work},
    {36, "reset_under_all_work_there_is", kBoth, "rng", reset_under_all_work},
    {17, "queue_reset_under_all_work_there_is", kBoth, "net", queue_reset_under_all_work},
    {17, "queue_reset_under_all_work_there_is", kBoth, "console", queue_reset_under_all_work},
    {17, "queue_reset_under_all_work_there_is", kBoth, "ports", queue_reset_under_all_work},
    {17, "queue_reset_under_all_work_there_is", kBoth, "rng", queue_reset_under_all_work},
};

}  // namespace

bool give_all_there_is(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return false;
    for (u16 i = 0; i < lab.kind->queues; ++i) {
        lab.device.select(i);
        const u16 most = lab.device.get16(reg::kQueueSize);
        lab.ring(i).clear(lab.ring_kind, most < Ring::kMostEntries ? most : Ring::kMostEntries);
        lab.device.describe(i, lab.ring(i));
        lab.device.enable(i);
    }
    lab.device.drive();
    offer_everywhere(lab, [&](const Chain& chain) { lab.fill(chain, Lab::Kicks::One); });
    return true;
}

void give_again(Lab& lab) {
    offer_everywhere(lab, [&](const Chain& chain) { lab.fill_again(chain); });
}

Cases work_cases() {
    return cases(kCases);
}

}  // namespace guest
