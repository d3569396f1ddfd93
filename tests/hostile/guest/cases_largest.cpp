// SPDX-License-Identifier: Apache-2.0
// A disk's ring full of the largest requests that it takes, all into the same memory: as cases, and
// as work for the host to stop (largest.py).
#include "lab.hpp"

namespace guest {
namespace {

constexpr u64 kFar = kSpareRam;
constexpr u32 kSegment = 4 << 20;  // size_max
constexpr u32 kSegments = 254;     // seg_max
constexpr u32 kEntry = 16;         // bytes of an indirect table's entry
constexpr u32 kSector = 512;
constexpr u64 kLong = u64{1} << 38;

struct Wish {
    const char* name;
    u32 type;
    u32 range;  ///< bytes of a command about a range; 0: data are moved
};
constexpr Wish kWishes[] = {
    {"read", 0, 0}, {"write", 1, 0}, {"discard", 11, 1 << 30}, {"zeroes", 13, 64 << 20}};

// In a packed ring's table `next` is not used, and flags are elsewhere.
void put_entry(const Lab& lab, unsigned entry, const Descriptor& d) {
    const u64 to = address_of(buffers.table) + u64{entry} * kEntry;
    write64(to, d.at);
    write32(to + 8, d.length);
    if (lab.packed())
        write32(to + 12, u32{d.flags & ~u32{kNext}} << 16);
    else
        write32(to + 12, u32{entry + 1} << 16 | d.flags);
}

/// As many segments as the disk has room for; gives the descriptor of a table with all of it.
Chain largest(const Lab& lab, const Wish& wish) {
    const u16 data = wish.type == 0 ? u16{kWrite | kNext} : u16{kNext};
    const u64 bytes = read64(lab.device.parts.device) * kSector;  // the capacity
    const u64 segments = bytes / kSegment < kSegments ? bytes / kSegment : kSegments;
    unsigned count = 0;
    write64(address_of(buffers.header), wish.type);
    write64(address_of(buffers.header + 8), 0);
    put_entry(lab, count++, {.at = address_of(buffers.header), .length = 16, .flags = kNext});
    if (wish.range == 0)
        while (count <= segments)
            put_entry(lab, count++, {.at = kFar, .length = kSegment, .flags = data});
    else {
        write64(address_of(buffers.data), 0);
        write64(address_of(buffers.data + 8), wish.range / kSector);
        put_entry(lab, count++, {.at = address_of(buffers.data), .length = 16, .flags = kNext});
    }
    put_entry(lab, count++, {.at = address_of(buffers.other), .length = 1, .flags = kWrite});
    Chain chain;
    return chain.add(buffers.table, count * kEntry, kIndirect);
}

constexpr Wish kReads = kWishes[0];

// More bytes than may be outstanding at a time: the rest of the ring has its turn later.
void all_answered(Lab& lab) {
    if (!lab.up())
        return;
    buffers.other[0] = 0xff;
    for (unsigned left = lab.fill(largest(lab, kReads), Lab::Kicks::One); left > 0; --left)
        if (!lab.expect_used())
            return;
    if (lab.expect(buffers.other[0], 0, "the request's status is"))
        lab.works();
}

void then_reset(Lab& lab) {
    if (!lab.up())
        return;
    lab.fill(largest(lab, kReads), Lab::Kicks::One);
    lab.expect(lab.device.reset(), "the reset does not end");
}

void then_queue_reset(Lab& lab) {
    if (!lab.up())
        return;
    lab.fill(largest(lab, kReads), Lab::Kicks::One);
    lab.device.select(0);
    lab.device.set16(reg::kQueueReset, 1);
    for (const Deadline late; lab.device.get16(reg::kQueueReset) != 0;)
        if (late.over()) {
            lab.fail("the queue's reset does not end");
            return;
        }
}

constexpr Case kCases[] = {
    {17, "largest_requests_all_answered", kBoth, "blk", all_answered},
    {36, "largest_requests_then_reset", kBoth, "blk", then_reset},
    {36, "largest_requests_then_queue_reset", kBoth, "blk", then_queue_reset},
};

bool start(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return false;
    lab.device.select(0);
    const u16 most = lab.device.get16(reg::kQueueSize);
    lab.ring(0).clear(RingKind::Split, most < Ring::kMostEntries ? most : Ring::kMostEntries);
    lab.device.describe(0, lab.ring(0));
    lab.device.enable(0);
    lab.device.drive();
    return true;
}

void say_and_hear(const char* text) {
    say(text);
    if (hear() == 'm')
        start_again();
}

}  // namespace

Cases largest_cases() {
    return cases(kCases);
}

// The host answers "busy" with what is to happen: 'd', a reset of the device; 'm', of the machine.
// Or it ends the program.
void run_largest(const Ram& ram, const char* name) {
    static Lab lab;
    for (const Wish& wish : kWishes) {
        if (!same(wish.name, name) || !lab.open(all_kinds().first[0], ram))
            continue;
        const Chain chain = largest(lab, wish);
        while (start(lab)) {
            lab.fill(chain, Lab::Kicks::One);
            say_and_hear("busy\n");
            lab.device.set8(reg::kStatus, 0);
            for (const Deadline late{kLong}; lab.device.status() != 0 && !late.over();)
                pause();
            say_and_hear("reset\n");
        }
    }
    say("the disk cannot be used\n");
}

}  // namespace guest
