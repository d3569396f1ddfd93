// SPDX-License-Identifier: Apache-2.0
// Two CPUs, each with a queue of its own of one device: neither may feel the other.
#include "lab.hpp"
#include "race.hpp"

namespace guest {
namespace {

constexpr u32 kApart = 2048;  // from the memory of one CPU to that of the other
constexpr u32 kDataApart = 0x1'0000;

/// The device as two drivers see it. Each has its ring, and nothing else is theirs to change.
struct Two {
    Lab& first;
    Lab second;
    bool began = false;  ///< second has
};
using Step = Racer<Two>::Step;

void kick_both(Two& two, Random& random) {
    const Lab& any = random.below(2) == 0 ? two.first : two.second;
    two.first.device.kick(any.kind->queue);
    two.first.device.kick(static_cast<u16>(random.below(two.first.kind->queues)));
}

/// `second` has `queue`; both have answered all the time, and what went wrong is the case's.
void apart(Lab& lab, u16 queue, Step first, Step second, Step third) {
    if (!lab.up())
        return;
    Two two{.first = lab, .second = lab};
    two.second.use(queue);
    lab.expect(race(two, first, second, third), "a CPU does not come back");
    if (two.second.why != nullptr)
        lab.fail(two.second.why);
    if (lab.why == nullptr)
        lab.works();
}

void works(Two& two, Random&) {
    if (two.first.why == nullptr)
        two.first.works();
}

// ---- a disk

void second_read(Two& two, Random& random) {
    Lab& lab = two.second;
    if (lab.why != nullptr)
        return;
    const u8 sector = static_cast<u8>(2 + random.below(60));  // the host has filled it with this
    write64(address_of(buffers.header + kApart), 0);
    write64(address_of(buffers.header + kApart + 8), sector);
    buffers.other[kApart] = 0xff;
    Chain chain;
    chain.add(buffers.header + kApart, 16)
        .add(buffers.data + kDataApart, 512, kWrite)
        .add(buffers.other + kApart, 1, kWrite);
    lab.submit(chain.link());
    if (lab.expect_used(513) && lab.expect(buffers.other[kApart], 0, "the status is"))
        lab.expect(buffers.data[kDataApart + 511], sector, "the sector of the other queue is");
}

void two_queues(Lab& lab) {
    apart(lab, 1, works, second_read, kick_both);
}

// The other queue is reset and enabled all the time, with requests under way in it.
void queue_reset_beside_another(Lab& lab) {
    const auto resets = [](Two& two, Random&) {
        Lab& of = two.second;
        of.device.select(1);
        of.device.set16(reg::kQueueReset, 1);
        for (const Deadline late; of.device.get16(reg::kQueueReset) != 0 && !late.over();)
            pause();
        of.ring().clear(of.ring_kind, 16);
        of.device.describe(1, of.ring());
        of.device.enable(1);
        Chain chain;
        of.fill(chain.add(buffers.header + kApart, 16)
                    .add(buffers.data + kDataApart, 512, kWrite)
                    .add(buffers.other + kApart, 1, kWrite)
                    .link(),
                Lab::Kicks::Each);
    };
    write64(address_of(buffers.header + kApart), 0);
    write64(address_of(buffers.header + kApart + 8), 7);
    apart(lab, 1, works, resets, kick_both);
}

// ---- a network

// Promiscuous or not, class 0 and command 0: VIRTIO_NET_OK is 0.
void second_command(Two& two, Random& random) {
    Lab& lab = two.second;
    if (lab.why != nullptr)
        return;
    write16(address_of(buffers.header + kApart), 0);
    buffers.header[kApart + 2] = static_cast<u8>(random.below(2));
    buffers.other[kApart] = 0xff;
    Chain chain;
    chain.add(buffers.header + kApart, 3).add(buffers.other + kApart, 1, kWrite);
    lab.submit(chain.link());
    if (lab.expect_used(1))
        lab.expect(buffers.other[kApart], 0, "the answer to a command is");
}

void frames_and_commands(Lab& lab) {
    apart(lab, 2, works, second_command, kick_both);
}

// Buffers for what comes in, while what goes out comes back.
void frames_both_ways(Lab& lab) {
    const auto receives = [](Two& two, Random&) {
        Chain chain;
        chain.add(buffers.table, 2048, kWrite);
        if (two.began)
            two.second.fill_again(chain);
        else
            two.second.fill(chain, Lab::Kicks::One);
        two.began = true;
        for (const Deadline soon{1 << 18}; !soon.over();)
            pause();
    };
    apart(lab, 0, works, receives, kick_both);
}

// ---- a network with two pairs

/// The device as three drivers see it: two send, one says how many pairs are used.
struct Three {
    Lab& first;
    Lab second;
    Lab control;
    bool began = false;  ///< second has
};
constexpr u16 kSecondSent = 3;
constexpr u16 kPairsControl = 4;
constexpr u32 kControlApart = 3072;

// Class 4, command 0.
void set_pairs(Lab& lab, u16 pairs, u8 answer) {
    if (lab.why != nullptr)
        return;
    write16(address_of(buffers.header + kControlApart), 4);
    write16(address_of(buffers.header + kControlApart + 2), pairs);
    buffers.other[kControlApart] = 0xff;
    Chain chain;
    chain.add(buffers.header + kControlApart, 4).add(buffers.other + kControlApart, 1, kWrite);
    lab.submit(chain.link());
    if (lab.expect_used(1))
        lab.expect(buffers.other[kControlApart], answer, "the answer to a number of pairs is");
}

Chain second_frame() {
    for (unsigned i = 0; i < 12; ++i)
        buffers.header[kApart + i] = 0;
    for (unsigned i = 0; i < 60; ++i)
        buffers.data[kDataApart + i] = buffers.data[i];
    Chain chain;
    chain.add(buffers.header + kApart, 12).add(buffers.data + kDataApart, 60);
    return chain.link();
}

void pairs_apart(Lab& lab, u16 pairs, Racer<Three>::Step second, Racer<Three>::Step third) {
    if (!lab.up() || !lab.works())
        return;
    Three three{.first = lab, .second = lab, .control = lab};
    three.second.use(kSecondSent);
    three.control.use(kPairsControl);
    set_pairs(three.control, pairs, 0);
    const auto sends = [](Three& of, Random&) {
        if (of.first.why == nullptr)
            of.first.works();
    };
    lab.expect(race(three, sends, second, third), "a CPU does not come back");
    for (const Lab* const other : {&three.second, &three.control})
        if (other->why != nullptr)
            lab.fail(other->why);
    if (lab.why == nullptr)
        lab.works();
}

void two_pairs_send(Lab& lab) {
    const auto sends = [](Three& of, Random&) {
        if (of.second.why != nullptr)
            return;
        of.second.submit(second_frame());
        of.second.expect_used(0);
    };
    const auto kicks = [](Three& of, Random& random) {
        of.first.device.kick(static_cast<u16>(random.below(of.first.kind->queues)));
    };
    pairs_apart(lab, 2, sends, kicks);
}

// Its frames wait while it is not used, and none is lost or taken twice: all is well with the ring.
void pair_comes_and_goes(Lab& lab) {
    const auto sends = [](Three& of, Random&) {
        if (of.began)
            of.second.fill_again(second_frame());
        else
            of.second.fill(second_frame(), Lab::Kicks::Each);
        of.began = true;
    };
    const auto sets = [](Three& of, Random& random) {
        constexpr u16 kNumbers[] = {1, 2, 2, 1, 0, 3, 0xffff};
        const u16 number = random.pick(kNumbers);
        set_pairs(of.control, number, number == 1 || number == 2 ? 0 : 1);
    };
    pairs_apart(lab, 1, sends, sets);
}

void pair_is_reset(Lab& lab) {
    const auto resets = [](Three& of, Random& random) {
        Lab& second = of.second;
        const u16 queue = random.below(2) == 0 ? kSecondSent : u16{kSecondSent - 1};
        second.device.select(queue);
        second.device.set16(reg::kQueueReset, 1);
        for (const Deadline late; second.device.get16(reg::kQueueReset) != 0 && !late.over();)
            pause();
        second.ring(queue).clear(second.ring_kind, 16);
        second.device.describe(queue, second.ring(queue));
        second.device.enable(queue);
        if (queue == kSecondSent)
            second.fill(second_frame(), Lab::Kicks::Each);
    };
    const auto sets = [](Three& of, Random& random) {
        set_pairs(of.control, static_cast<u16>(1 + random.below(2)), 0);
    };
    pairs_apart(lab, 2, resets, sets);
}

// ---- ports

void second_output(Two& two, Random&) {
    Lab& lab = two.second;
    if (lab.why != nullptr)
        return;
    Chain chain;
    lab.submit(chain.add(buffers.data + kDataApart, 32));
    lab.expect_used(0);
}

void messages_and_output(Lab& lab) {
    constexpr u16 kSecondOut = 5;
    apart(lab, kSecondOut, works, second_output, kick_both);
}

constexpr Case kCases[] = {
    {35, "race_two_queues", kBoth, "blk", two_queues},
    {35, "race_queue_reset_beside_another", kBoth, "blk", queue_reset_beside_another},
    {35, "race_frames_and_commands", kBoth, "net", frames_and_commands},
    {35, "race_frames_both_ways", kBoth, "net", frames_both_ways},
    {35, "race_two_pairs_send", kBoth, "pairs", two_pairs_send},
    {35, "race_pair_comes_and_goes", kBoth, "pairs", pair_comes_and_goes},
    {35, "race_pair_is_reset", kBoth, "pairs", pair_is_reset},
    {35, "race_messages_and_output", kBoth, "ports", messages_and_output},
};

}  // namespace

Cases race_queue_cases() {
    return cases(kCases);
}

}  // namespace guest
