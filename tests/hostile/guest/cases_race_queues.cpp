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
    {35, "race_messages_and_output", kBoth, "ports", messages_and_output},
};

}  // namespace

Cases race_queue_cases() {
    return cases(kCases);
}

}  // namespace guest
