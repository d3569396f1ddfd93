// SPDX-License-Identifier: Apache-2.0
// Three CPUs at one device: two drivers would never do that, and one driver's two threads may.
//
// Registers are chosen so that whatever comes of their mixture reaches rings and buffers of these
// cases only: descriptors are read from tables of descriptors, and used rings are written to where
// used rings are.
#include "lab.hpp"
#include "platform.hpp"
#include "race.hpp"

namespace guest {
namespace {

constexpr u64 kAddresses[] = {0, 1, 0xfff, kFreeBars, 0x1'0000'0000'0000, ~u64{0} - 0xfff, ~u64{0}};
constexpr u16 kSizes[] = {0, 1, 2, 3, 8, 16, 256, 0x8000, 0xffff};
constexpr u16 kQueues[] = {0, 0, 0, 1, 1, 2, 3, 0x7fff, 0xffff};
constexpr u8 kStates[] = {
    status::kAcknowledge,
    status::kAcknowledge | status::kDriver,
    status::kAcknowledge | status::kDriver | status::kFeaturesOk,
    status::kAcknowledge | status::kDriver | status::kFeaturesOk | status::kDriverOk,
    status::kNeedsReset,
    status::kFailed,
    0xff};
constexpr u16 kMsixEnable = 1U << 15;
constexpr u16 kMsixMask = 1U << 14;
constexpr u64 kMoveTime = 4 * kRaceTime;  // doorbells move along, which takes milliseconds each
constexpr u64 kRaceSector = 2000;         // far from those that must not change

void together(Lab& lab, void (*here)(Lab&, Random&), void (*there)(Lab&, Random&),
              void (*elsewhere)(Lab&, Random&), u64 time = kRaceTime) {
    lab.expect(race(lab, here, there, elsewhere, time), "a CPU does not come back");
}

// ---- what one CPU does

// Memory that a mixed-up request could take for a header says nothing that any device would do.
void fill_buffers() {
    for (volatile u8& byte : buffers.data)
        byte = 0x5a;
    for (volatile u8& byte : buffers.table)
        byte = 0x5a;
}

Chain race_request(Lab& lab) {
    Chain chain = lab.request();
    if (lab.kind->type == 2)
        write64(address_of(buffers.header + 8), kRaceSector);
    return chain;
}

// To DRIVER_OK, without a look at what comes of it.
void bring_up(Lab& lab) {
    const Virtio& device = lab.device;
    device.set8(reg::kStatus, status::kAcknowledge | status::kDriver);
    device.accept(lab.features());
    device.set8(reg::kStatus, status::kAcknowledge | status::kDriver | status::kFeaturesOk);
    for (u16 queue = 0; queue < lab.kind->queues; ++queue) {
        device.describe(queue, lab.ring(queue));
        device.enable(queue);
    }
    device.drive();
}

// ... after a reset, with rings that are empty.
void bring_up_again(Lab& lab) {
    if (!lab.device.reset())
        return;
    for (u16 queue = 0; queue < lab.kind->queues; ++queue)
        lab.ring(queue).clear(lab.ring_kind, 16);
    bring_up(lab);
}

void answers(Lab& lab, Random&) {
    if (lab.why == nullptr)
        lab.works();
}

void kick_all(Lab& lab, Random& random) {
    const u16 queue = random.pick(kQueues);
    if (random.below(2) == 0)
        write16(lab.device.doorbell(queue % 8), queue);
    else
        lab.device.kick(queue % 8);
}

void queue_registers(Lab& lab, Random& random) {
    constexpr u32 kWhich[] = {reg::kQueueDescriptors, reg::kQueueDriver, reg::kQueueDevice};
    const Virtio& device = lab.device;
    device.select(random.pick(kQueues));
    switch (random.below(6)) {
        case 0:
            return device.set16(reg::kQueueSize, random.pick(kSizes));
        case 1:
            return device.set16(reg::kQueueEnable, 1);
        case 2:
            return device.set_address(random.pick(kWhich), random.pick(kAddresses));
        default:
            return device.describe(static_cast<u16>(random.below(lab.kind->queues)),
                                   lab.ring(static_cast<u16>(random.below(lab.kind->queues))));
    }
}

void other_registers(Lab& lab, Random& random) {
    const Virtio& device = lab.device;
    switch (random.below(6)) {
        case 0:
            return device.set8(reg::kStatus, random.pick(kStates));
        case 1:
            return device.accept(random.next());
        case 2:
            return device.set16(reg::kQueueVector, static_cast<u16>(random.below(8)));
        case 3:
            return device.set16(reg::kConfigVector, static_cast<u16>(random.below(8)));
        case 4:
            return device.set16(reg::kQueueReset, 1);
        default:
            static_cast<void>(device.get32(random.below(reg::kEnd) & ~3U));
    }
}

void set_states(Lab& lab, Random& random) {
    lab.device.set8(reg::kStatus, random.pick(kStates));
}

void reset_at_times(Lab& lab, Random& random) {
    lab.device.set8(reg::kStatus, 0);
    for (const Deadline soon{random.below(1 << 20)}; !soon.over();)
        pause();
}

void bring_up_at_times(Lab& lab, Random&) {
    bring_up(lab);
}

void offer_some(Lab& lab, Random& random) {
    if (random.below(8) == 0)
        lab.ring().clear(lab.ring_kind, 16);
    lab.submit(race_request(lab));
}

// ---- races for registers

void race_registers(Lab& lab) {
    if (lab.up())
        together(lab, kick_all, queue_registers, other_registers);
}

void race_registers_with_resets(Lab& lab) {
    if (lab.up())
        together(lab, bring_up_at_times, queue_registers, reset_at_times);
}

void race_status(Lab& lab) {
    if (lab.up())
        together(lab, bring_up_at_times, set_states, set_states);
}

void race_features(Lab& lab) {
    const auto features = [](Lab& of, Random& random) {
        of.device.set32(reg::kDriverFeatureSelect, random.below(3));
        of.device.set32(reg::kDriverFeature, static_cast<u32>(random.next()));
        static_cast<void>(of.device.accepted());
    };
    if (lab.up())
        together(lab, bring_up_at_times, features, reset_at_times);
}

void race_resets(Lab& lab) {
    if (lab.up())
        together(lab, offer_some, reset_at_times, bring_up_at_times);
}

void race_two_resets(Lab& lab) {
    const auto again = [](Lab& of, Random&) { bring_up_again(of); };
    if (lab.up())
        together(lab, again, reset_at_times, reset_at_times);
}

// From here on the memory is the driver's: nothing of the device may show up in it.
void reset_by_another_cpu(Lab& lab) {
    const auto reset = [](void* with) { static_cast<Lab*>(with)->device.reset(); };
    for (unsigned i = 0; i < 5; ++i) {
        if (!lab.up())
            return;
        lab.fill(lab.request(), Lab::Kicks::Each);
        start_cpu(1, reset, &lab);
        for (unsigned k = 0; k < 40; ++k)
            lab.kick();
        if (!lab.expect(stop_cpu(1), "a CPU does not come back") ||
            !lab.expect(lab.device.status(), 0, "the status after a reset is"))
            return;
        lab.ring().clear(lab.ring_kind, 16);
        buffers.data[0] = 0x5a;
        for (const Deadline soon{1 << 20}; !soon.over();)
            pause();
        lab.expect(read32(lab.ring().device()) == 0 && buffers.data[0] == 0x5a,
                   "the device wrote after its reset");
    }
}

void race_queue_resets(Lab& lab) {
    const auto reset_one = [](Lab& of, Random&) {
        of.device.select(of.queue());
        of.device.set16(reg::kQueueReset, 1);
    };
    const auto enable_one = [](Lab& of, Random&) {
        of.device.describe(of.queue(), of.ring());
        of.device.enable(of.queue());
    };
    if (lab.up())
        together(lab, offer_some, reset_one, enable_one);
}

// Kicks are only hints: with however many of them from everywhere, requests are answered.
void race_kicks(Lab& lab) {
    if (lab.up())
        together(lab, answers, kick_all, kick_all);
}

// Reads change nothing but the interrupt status.
void race_reads(Lab& lab) {
    const auto read_any = [](Lab& of, Random& random) {
        const unsigned width = 1U << random.below(3);
        const u32 offset = random.below(0x3c) & ~(width - 1);
        static_cast<void>(read_of(width, of.device.parts.common + offset));
        static_cast<void>(read8(of.device.parts.isr));
        if (of.device.parts.device != 0)
            static_cast<void>(read32(of.device.parts.device + (random.below(64) & ~3U)));
    };
    if (lab.up())
        together(lab, answers, read_any, read_any);
}

void race_device_space(Lab& lab) {
    const auto write_any = [](Lab& of, Random& random) {
        if (of.device.parts.device == 0)
            return;
        const unsigned width = 1U << random.below(3);
        const u32 offset = random.below(64) & ~(width - 1);
        write_of(width, of.device.parts.device + offset, random.next());
        static_cast<void>(of.device.get8(reg::kGeneration));
    };
    if (lab.up())
        together(lab, answers, write_any, write_any);
}

// ---- races for the function around the device

constexpr u64 kMsixEntry = 16;

// Fixed, edge, to a CPU that is there, to one that is not, or to nobody.
void write_table(Lab& lab, Random& random) {
    constexpr auto kThere = static_cast<u32>(kMessageAddress);
    constexpr u32 kTo[] = {kThere, kThere + 0x1000, kThere + 0x3000, kThere + 0xf'f000,
                           0,      0xffff'fffc};
    const u64 at = lab.device.parts.table + random.below(lab.device.parts.vectors) * kMsixEntry;
    write32(at, random.pick(kTo));
    write32(at + 4, random.below(8) == 0 ? 1 : 0);
    write32(at + 8, 0x20 + random.below(16));
    write32(at + 12, random.below(2));
}

void write_masks(Lab& lab, Random& random) {
    constexpr u16 kControls[] = {0, kMsixEnable, kMsixEnable, kMsixEnable | kMsixMask, kMsixMask};
    const Parts& parts = lab.device.parts;
    lab.device.function.set16(parts.msix + 2, random.pick(kControls));
    write32(parts.table + random.below(parts.vectors) * kMsixEntry + 12, random.below(2));
    static_cast<void>(read32(parts.pending));
}

// What is still pending goes out, to nobody: other cases look at it.
void settle_table(Lab& lab) {
    lab.expect(lab.device.reset(), "the reset does not end");
    const Parts& parts = lab.device.parts;
    lab.device.function.set16(parts.msix + 2, kMsixEnable);
    for (unsigned entry = 0; entry < parts.vectors; ++entry) {
        write32(parts.table + entry * kMsixEntry, 0);
        write32(parts.table + entry * kMsixEntry + 12, 0);
    }
    lab.expect(read32(parts.pending), 0, "the pending bits are");
    for (unsigned entry = 0; entry < parts.vectors; ++entry)
        write32(parts.table + entry * kMsixEntry + 12, 1);
}

void race_table(Lab& lab) {
    if (!lab.up())
        return;
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueVector, 1);
    lab.device.function.set16(lab.device.parts.msix + 2, kMsixEnable);
    together(lab, answers, write_table, write_masks);
    messages_still_come(lab);
    settle_table(lab);
}

void race_vectors(Lab& lab) {
    const auto vectors = [](Lab& of, Random& random) {
        of.device.select(static_cast<u16>(random.below(of.kind->queues)));
        of.device.set16(reg::kQueueVector, static_cast<u16>(random.below(of.device.parts.vectors)));
        of.device.set16(reg::kConfigVector, static_cast<u16>(random.below(8)));
    };
    if (!lab.up())
        return;
    together(lab, answers, vectors, write_masks);
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueVector, 1);
    messages_still_come(lab);
    settle_table(lab);
}

void race_interrupt_pin(Lab& lab) {
    const auto status_read = [](Lab& of, Random&) {
        static_cast<void>(read8(of.device.parts.isr));
    };
    const auto pin = [](Lab& of, Random& random) {
        constexpr u16 kPinOff = 1U << 10;
        constexpr u16 kOn = kCommandIo | kCommandMemory | kCommandMaster;
        of.device.function.set16(kCommand, random.below(2) == 0 ? kOn : kOn | kPinOff);
    };
    if (lab.up())
        together(lab, answers, status_read, pin);
}

void race_bars(Lab& lab) {
    const auto move = [](Lab& of, Random& random) {
        const u32 places[] = {static_cast<u32>(of.device.parts.common),
                              kFreeBars,
                              kFreeBars + 0x800'0000,
                              0xffff'ffff,
                              0,
                              kBarsEnd - 0x1000};
        of.device.function.set32(kBar0, random.pick(places));
    };
    const auto decode = [](Lab& of, Random& random) {
        of.device.function.set16(kCommand, static_cast<u16>(random.below(8)));
    };
    if (lab.up())
        together(lab, offer_some, move, decode, kMoveTime);
}

void race_two_moves(Lab& lab) {
    const auto move = [](Lab& of, Random& random) {
        const u32 to = kFreeBars + (random.below(16) << 20);
        of.device.function.set32(kBar0, to);
        static_cast<void>(read8(to + reg::kStatus));
    };
    const auto ports = [](Lab& of, Random& random) {
        constexpr u32 kPlaces[] = {0xffff'ffff, 0x3f8, 0xcf8, 0x4000, 0x8000, 0};
        const unsigned bar = of.device.parts.port_bar;
        of.device.function.set32(kBar0 + 4 * bar, random.pick(kPlaces));
    };
    if (lab.up())
        together(lab, move, move, lab.device.parts.ports != 0 ? +ports : +move, kMoveTime);
}

// By the ways there are; what is read in between must be right.
void race_configuration_space(Lab& lab) {
    const auto read_any = [](Lab&, Random& random) { read_configuration(random); };
    const auto identity = [](Lab& of, Random&) {
        if (of.why == nullptr)
            of.expect(of.device.function.get16(0), 0x1af4, "the vendor is");
    };
    if (lab.up())
        together(lab, identity, read_any, read_any);
    lab.works();
}

void race_window(Lab& lab) {
    const auto window = [](Lab& of, Random& random) {
        const Function& function = of.device.function;
        const u32 at = of.device.parts.window;
        constexpr u32 kOffsets[] = {reg::kStatus, reg::kNumQueues, 0, 0xffff'fffc, 0x1000};
        write8(function.at(at + 4), static_cast<u8>(random.below(3)));
        function.set32(at + 8, random.pick(kOffsets));
        function.set32(at + 12, random.below(6));
        static_cast<void>(function.get32(at + 16));
        function.set16(at + 16, static_cast<u16>(random.next()));
    };
    if (lab.up())
        together(lab, kick_all, window, window);
}

// ---- races for memory: row 14

constexpr u32 kLengths[] = {0, 1, 16, 512, 4096, 0x7fff'ffff, 0xffff'ffff};

void flip_descriptors(Lab& lab, Random& random) {
    const u64 proper[] = {address_of(buffers.header), address_of(buffers.data),
                          address_of(buffers.other), address_of(buffers.table)};
    const u64 where = lab.ring().descriptors() + random.below(lab.ring().size()) * 16ULL;
    switch (random.below(6)) {
        case 0:
            return write64(where, random.pick(kAddresses));
        case 1:
            return write64(where, random.pick(proper));
        case 2:
            return write32(where + 8, random.pick(kLengths));
        case 3:
            return write16(where + 12, static_cast<u16>(random.below(8)));
        case 4:
            return write16(where + 14, static_cast<u16>(random.below(18)));
        default:
            return write16(where + 14, static_cast<u16>(random.next()) & (kAvail | kUsed | 7));
    }
}

void flip_indices(Lab& lab, Random& random) {
    const u64 driver = lab.ring().driver();
    switch (random.below(3)) {
        case 0:
            return write16(driver, static_cast<u16>(random.below(4)));
        case 1:
            return write16(driver + 4 + 2ULL * random.below(17),
                           static_cast<u16>(random.below(18)));
        default:
            return write16(driver + 2, static_cast<u16>(lab.ring().available_index() +
                                                        random.below(lab.ring().size())));
    }
}

// Whenever the device has had enough, it is started again.
void offer_to_the_end(Lab& lab, Random&) {
    if (lab.device.needs_reset())
        bring_up_again(lab);
    lab.submit(race_request(lab));
}

void race_descriptors(Lab& lab) {
    fill_buffers();
    if (lab.up())
        together(lab, offer_to_the_end, flip_descriptors, flip_descriptors);
}

void race_indices(Lab& lab) {
    fill_buffers();
    if (lab.up())
        together(lab, offer_to_the_end, flip_descriptors, flip_indices);
}

void race_used_ring(Lab& lab) {
    const auto scribble = [](Lab& of, Random& random) {
        write16(of.ring().device() + 2ULL * random.below(70), static_cast<u16>(random.next()));
    };
    fill_buffers();
    if (lab.up())
        together(lab, offer_to_the_end, scribble, scribble);
}

void race_indirect_table(Lab& lab) {
    const auto offer = [](Lab& of, Random& random) {
        if (of.device.needs_reset())
            bring_up_again(of);
        const Chain chain = race_request(of);
        for (u16 i = 0; i < chain.count; ++i) {
            const u64 where = address_of(buffers.table) + i * 16ULL;
            write64(where, chain.d[i].at);
            write32(where + 8, chain.d[i].length);
            write32(where + 12, u32{chain.d[i].next} << 16 | chain.d[i].flags);
        }
        Chain outer;
        of.submit(outer.add(buffers.table, 16 * (chain.count + random.below(3)), kIndirect));
    };
    const auto flip = [](Lab&, Random& random) {
        const u64 where = address_of(buffers.table) + random.below(5) * 16ULL;
        if (random.below(2) == 0)
            write64(where, random.pick(kAddresses));
        else
            write32(where + 8, random.pick(kLengths));
        write32(where + 12, random.below(5) << 16 | random.below(8));
    };
    fill_buffers();
    if (lab.up())
        together(lab, offer, flip, flip);
}

// The chain is right throughout, so each is answered, whatever the header says at that moment.
void race_block_header(Lab& lab) {
    const auto request = [](Lab& of, Random&) {
        if (of.why != nullptr)
            return;
        Chain chain;
        chain.add(buffers.header, 16).add(buffers.data, 512).add(buffers.other, 513, kWrite);
        of.submit(chain.link());
        if (of.expect_used())
            of.expect(of.last.length <= 513, "more was written than there was room for");
    };
    const auto type = [](Lab&, Random& random) {
        constexpr u32 kTypes[] = {0, 1, 4, 8, 11, 13, 99};
        write32(address_of(buffers.header), random.pick(kTypes));
    };
    const auto sector = [](Lab&, Random& random) {
        constexpr u64 kSectors[] = {kRaceSector, 16383, 16384, u64{1} << 55, ~u64{0}};
        write64(address_of(buffers.header + 8), random.pick(kSectors));
    };
    fill_buffers();
    write64(address_of(buffers.header + 8), kRaceSector);
    if (lab.up())
        together(lab, request, type, sector);
}

void race_net_header(Lab& lab) {
    const auto frame = [](Lab& of, Random&) {
        if (of.why == nullptr) {
            of.submit(of.request());
            of.expect_used(0);
        }
    };
    const auto header = [](Lab&, Random& random) {
        constexpr u8 kBytes[] = {0, 1, 3, 4, 14, 34, 60, 0x80, 0xff};
        buffers.header[random.below(12)] = random.pick(kBytes);
    };
    const auto data = [](Lab&, Random& random) {
        buffers.data[14 + random.below(46)] = static_cast<u8>(random.next());
    };
    if (lab.up())
        together(lab, frame, header, data);
}

constexpr Case kCases[] = {
    {35, "race_registers", kBoth, nullptr, race_registers},
    {35, "race_registers_with_resets", kBoth, nullptr, race_registers_with_resets},
    {35, "race_status", kBoth, nullptr, race_status},
    {35, "race_features", kBoth, nullptr, race_features},
    {35, "race_resets", kBoth, nullptr, race_resets},
    {35, "race_two_resets", kBoth, nullptr, race_two_resets},
    {10, "reset_by_another_cpu", kBoth, nullptr, reset_by_another_cpu},
    {35, "race_queue_resets", kBoth, nullptr, race_queue_resets},
    {35, "race_kicks", kBoth, nullptr, race_kicks},
    {35, "race_reads", kBoth, nullptr, race_reads},
    {35, "race_device_space", kBoth, nullptr, race_device_space},
    {24, "race_table", kBoth, nullptr, race_table},
    {24, "race_vectors", kBoth, nullptr, race_vectors},
    {35, "race_interrupt_pin", kBoth, nullptr, race_interrupt_pin},
    {25, "race_bars", kBoth, nullptr, race_bars},
    {25, "race_two_moves", kNoRing, nullptr, race_two_moves},
    {25, "race_configuration_space", kNoRing, nullptr, race_configuration_space},
    {19, "race_window", kNoRing, nullptr, race_window},
    {14, "race_descriptors", kBoth, nullptr, race_descriptors},
    {14, "race_indices", kBoth, nullptr, race_indices},
    {14, "race_used_ring", kBoth, nullptr, race_used_ring},
    {14, "race_indirect_table", kBoth, nullptr, race_indirect_table},
    {14, "race_block_header", kBoth, "blk", race_block_header},
    {14, "race_net_header", kBoth, "net", race_net_header},
};

}  // namespace

Cases race_cases() {
    return cases(kCases);
}

}  // namespace guest
