// SPDX-License-Identifier: Apache-2.0
// What one step of chaos is: the actions, and how often each is taken.
//
// Left alone are the guest's own image (a device that writes over it ends the machine, not the
// VMM), messages that are NMI or INIT, what powers off, and the interrupt chips, which are KVM's.
#include "chaos.hpp"

#include "platform.hpp"

namespace guest::chaos {
namespace {

// RAM that nothing else uses: rings of each queue, then payload.
constexpr u64 kArena = kRamStart + 0x0400'0000;
constexpr u64 kRingBytes = 0x4000;
constexpr u64 kDriverAt = 0x1000;
constexpr u64 kDeviceAt = 0x2000;
constexpr u64 kPayload = kArena + kMostTargets * kQueues * kRingBytes;
constexpr u32 kPayloadBytes = 8U << 20;
constexpr u64 kAboveFour = u64{1} << 32;

constexpr u32 kLengths[] = {0,   1,    7,     12,       16,          64,         512,
                            513, 4096, 65536, 1U << 20, 0x7fff'ffff, 0xffff'ffff};
constexpr u16 kSizes[] = {0, 1, 2, 3, 7, 8, 16, 16, 64, 128, 256, 1024, 0x8000, 0xffff};

u64 ring_of(unsigned target, unsigned queue) {
    return kArena + (target * kQueues + queue) * kRingBytes;
}

u64 payload(Random& random) {
    return kPayload + random.below(kPayloadBytes);
}

// An address for a device: mostly one that is good, else one at an edge.
u64 address(const World& world, Random& random) {
    const u64 edges[] = {world.ram.low_end - 8,
                         world.ram.low_end,
                         world.ram.end - 16,
                         world.ram.end,
                         kAboveFour - 16,
                         kEcam,
                         kMessageAddress,
                         world.targets[random.below(world.count)].bars[0] & ~0xfULL,
                         ~u64{0},
                         ~u64{0} << 63,
                         ~u64{0xfff}};
    switch (random.below(8)) {
        case 0:
            return random.pick(edges);
        case 1:
            return ring_of(random.below(world.count), random.below(kQueues)) + random.below(0x3000);
        default:
            return payload(random);
    }
}

u32 number(Random& random) {
    switch (random.below(4)) {
        case 0:
            return random.below(8);
        case 1:
            return 1U << random.below(32);
        case 2:
            return random.pick(kSizes);
        default:
            return static_cast<u32>(random.next());
    }
}

unsigned width(Random& random) {
    constexpr u8 kWidths[] = {1, 2, 2, 4, 4, 8};
    return random.pick(kWidths);
}

// An interrupt that no CPU takes, as all of them run with interrupts off: fixed or lowest priority.
u32 message_data(Random& random) {
    return (32 + random.below(224)) | random.below(2) << 8;
}

struct Doing {
    World& world;
    Random& random;
    unsigned number;  ///< of the target

    Target& target() const { return world.targets[number]; }
    const Parts& parts() const { return target().parts; }
    Virtio device() const { return {.function = target().function, .parts = parts()}; }
    Place& place(unsigned queue) const { return world.places[number][queue]; }
};

// ---- registers

bool is_address(u32 offset) {
    return offset >= reg::kQueueDescriptors && offset < reg::kQueueNotifyData;
}

void write_register(const Doing& doing) {
    Random& random = doing.random;
    const u32 offset = random.below(reg::kEnd + 4);
    if (!is_address(offset)) {
        write_of(width(random), doing.parts().common + offset, number(random));
        return;
    }
    // A junk address would lie in the guest's own image now and then.
    const u64 at = address(doing.world, random);
    if (random.below(2) != 0)
        doing.device().set_address(offset & ~7U, at);
    else
        write64(doing.parts().common + (offset & ~7U), at);
}

void read_register(const Doing& doing) {
    read_of(width(doing.random), doing.parts().common + doing.random.below(reg::kEnd + 8));
}

void write_status(const Doing& doing) {
    constexpr u8 kStatus[] = {0, 0, 1, 3, 11, 15, 15, 7, 0x80, 0x4f, 0xff};
    doing.device().set8(reg::kStatus, doing.random.pick(kStatus));
}

void use_device_space(const Doing& doing) {
    Random& random = doing.random;
    if (doing.parts().device == 0)
        return;
    const u64 at =
        doing.parts().device + random.below(static_cast<u32>(doing.parts().device_length) + 8);
    if (random.below(2) != 0)
        write_of(width(random), at, number(random));
    else
        read_of(width(random), at);
}

void read_interrupt_status(const Doing& doing) {
    read8(doing.parts().isr);
}

void use_bar(const Doing& doing) {
    Random& random = doing.random;
    const u64 at = doing.target().function.bar() + random.below(0x4000);
    // Beyond RAM only: a BAR may have been moved, and what it says now need not be where it is.
    if (at - kRamStart < doing.world.ram.low_end - kRamStart)
        return;
    if (random.below(4) != 0)
        read_of(width(random), at);
    else if (at - doing.parts().common >= reg::kEnd && at - doing.parts().table >= 0x1000)
        write_of(width(random), at, number(random));
}

// ---- life of a device

void bring_up(const Doing& doing) {
    Random& random = doing.random;
    const Virtio device = doing.device();
    device.set8(reg::kStatus, 0);
    for (unsigned i = 0; i < 20 && device.status() != 0; ++i)
        pause();
    device.set8(reg::kStatus, status::kAcknowledge | status::kDriver);
    u64 features = device.offered();
    if (random.below(4) == 0)
        features &= random.next() | kVersion1;
    if (random.below(2) == 0)
        features &= ~kRingPacked;
    device.accept(features);
    device.set8(reg::kStatus, status::kAcknowledge | status::kDriver | status::kFeaturesOk);
    for (u16 queue = 0; queue < kQueues; ++queue) {
        device.select(queue);
        const u16 most = device.get16(reg::kQueueSize);
        if (most == 0)
            break;
        const u16 size = random.below(8) == 0 ? most : u16{16};
        const u64 ring = ring_of(doing.number, queue);
        for (u64 at = ring; at < ring + 0x3000; at += 64)
            write64(at, 0);
        write16(ring + kDriverAt + 2, 0);
        write16(ring + kDeviceAt + 2, 0);
        device.set16(reg::kQueueSize, size);
        if (random.below(2) != 0)
            device.set16(reg::kQueueVector, static_cast<u16>(random.below(8)));
        device.set_address(reg::kQueueDescriptors, ring);
        device.set_address(reg::kQueueDriver, ring + kDriverAt);
        device.set_address(reg::kQueueDevice, ring + kDeviceAt);
        doing.place(queue) = {
            .size = size, .next = 0, .packed = (features & kRingPacked) != 0, .lap = true};
        device.enable(queue);
    }
    device.drive();
}

void reset_queue(const Doing& doing) {
    const Virtio device = doing.device();
    device.select(static_cast<u16>(doing.random.below(kQueues)));
    device.set16(reg::kQueueReset, 1);
    if (doing.random.below(2) != 0)
        device.set16(reg::kQueueEnable, 1);
}

// ---- rings

// The start of a request that its device understands, more or less.
u64 header(const Doing& doing) {
    Random& random = doing.random;
    const u64 at = payload(random) & ~0xfULL;
    switch (doing.target().type) {
        case 1:  // virtio_net_hdr, or a command
            write32(at, random.below(2) != 0 ? 0 : random.below(0x600));
            write64(at + 4, 0);
            break;
        case 2:  // virtio_blk_req
            write32(at, random.below(16));
            write64(at + 8, random.below(16) == 0 ? random.next() : random.below(20000));
            break;
        case 3:  // virtio_console_control
            write32(at, random.below(4));
            write32(at + 4, random.below(10) | random.below(2) << 16);
            break;
        default:
            break;
    }
    return at;
}

constexpr unsigned kMostDescriptors = 4;
struct Request {
    Descriptor d[kMostDescriptors];
    unsigned count = 0;

    void add(u64 at, u32 length, u16 flags = 0) {
        d[count++] = {.at = at, .length = length, .flags = flags};
    }
};

// One that its device carries out, more or less.
Request good_request(const Doing& doing, unsigned queue) {
    Random& random = doing.random;
    Request made;
    if (doing.target().type == 2) {
        constexpr u32 kTypes[] = {0, 0, 1, 1, 4, 8, 11, 13};
        const u64 at = header(doing);
        const u32 type = random.pick(kTypes);
        write32(at, type);
        write64(at + 8, 64 + random.below(16000));  // the first ones are kept: hostile.py
        made.add(at, 16);
        if (type == 11 || type == 13) {
            const u64 range = payload(random) & ~0xfULL;
            write64(range, 64 + random.below(16000));
            write32(range + 8, 1 + random.below(64));
            write32(range + 12, random.below(2));
            made.add(range, 16);
        } else if (type != 4) {
            made.add(payload(random), 512 * (1 + random.below(256)), type == 1 ? 0 : kWrite);
        }
        made.add(payload(random), 1, kWrite);
    } else if (queue % 2 == 0) {
        made.add(payload(random), 2048, kWrite);
    } else {
        made.add(header(doing), doing.target().type == 1 ? 12 : 8);
        made.add(payload(random), 60 + random.below(1400));
    }
    return made;
}

Request any_request(const Doing& doing) {
    Random& random = doing.random;
    Request made;
    for (unsigned left = random.below(kMostDescriptors) + 1; left != 0; --left) {
        const bool first = made.count == 0;
        made.add(first ? header(doing) : address(doing.world, random),
                 first && random.below(4) != 0 ? 16 : random.pick(kLengths),
                 !first && random.below(2) != 0 ? kWrite : 0);
    }
    return made;
}

Request request(const Doing& doing, unsigned queue) {
    Random& random = doing.random;
    Request made = random.below(2) != 0 ? good_request(doing, queue) : any_request(doing);
    for (unsigned i = 0; i + 1 < made.count; ++i)
        made.d[i].flags = static_cast<u16>(made.d[i].flags | kNext);
    Descriptor& one = made.d[random.below(made.count)];
    switch (random.below(32)) {
        case 0:
            one.flags = static_cast<u16>(random.below(8));
            break;
        case 1:
            one.at = address(doing.world, random);
            break;
        case 2:
            one.length = random.pick(kLengths);
            break;
        default:
            break;
    }
    return made;
}

void put(u64 at, const Descriptor& what) {
    write64(at, what.at);
    write32(at + 8, what.length);
    write16(at + 14, what.next);
    write16(at + 12, what.flags);
}

void offer_split(const Doing& doing, u64 ring, Place& place, const Request& request) {
    const auto head = static_cast<u16>(doing.random.below(place.size));
    for (unsigned i = 0; i < request.count; ++i) {
        Descriptor made = request.d[i];
        made.next = static_cast<u16>((head + i + 1) % place.size);
        put(ring + 16ULL * ((head + i) % place.size), made);
    }
    const u16 index = read16(ring + kDriverAt + 2);
    write16(ring + kDriverAt + 4 + 2ULL * (index % place.size), head);
    write16(ring + kDriverAt, static_cast<u16>(doing.random.below(2)));  // interrupts wanted or not
    write16(ring + kDriverAt + 2, static_cast<u16>(index + 1));
}

void offer_packed(const Doing& doing, u64 ring, Place& place, const Request& request) {
    const auto id = static_cast<u16>(doing.random.below(place.size));
    for (unsigned i = 0; i < request.count; ++i) {
        Descriptor made = request.d[i];
        made.next = id;
        made.flags = static_cast<u16>((made.flags & 7U) | (place.lap ? kAvail : kUsed));
        put(ring + 16ULL * (place.next % place.size), made);
        if (++place.next >= place.size) {
            place.next = 0;
            place.lap = !place.lap;
        }
    }
}

void offer(const Doing& doing) {
    const unsigned queue = doing.random.below(kQueues);
    Place place = doing.place(queue);
    if (place.size == 0)
        return;
    const u64 ring = ring_of(doing.number, queue);
    for (unsigned requests = 1 + doing.random.below(4); requests != 0; --requests) {
        if (place.packed)
            offer_packed(doing, ring, place, request(doing, queue));
        else
            offer_split(doing, ring, place, request(doing, queue));
    }
    doing.place(queue) = place;
    doing.device().kick(static_cast<u16>(queue));
}

// Anything into what the device reads or has written.
void spoil_ring(const Doing& doing) {
    Random& random = doing.random;
    const u64 ring = ring_of(doing.number, random.below(kQueues));
    switch (random.below(4)) {
        case 0:
            write64(ring + 16ULL * random.below(64), address(doing.world, random));
            break;
        case 1:
            write32(ring + 16ULL * random.below(64) + 8, random.pick(kLengths));
            break;
        case 2:
            write32(ring + 16ULL * random.below(64) + 12, number(random));
            break;
        default:
            write16(ring + (random.below(2) != 0 ? kDriverAt : kDeviceAt) + 2ULL * random.below(16),
                    static_cast<u16>(number(random)));
            break;
    }
}

void kick(const Doing& doing) {
    Random& random = doing.random;
    const auto queue = static_cast<u16>(number(random));
    if (doing.parts().ports != 0 && random.below(2) != 0)
        ring_port(doing.device().port_doorbell(static_cast<u16>(queue % kQueues)), queue);
    else
        write_of(
            width(random),
            doing.parts().notify + random.below(static_cast<u32>(doing.parts().notify_length) + 4),
            queue);
}

// ---- interrupts

void toggle_messages(const Doing& doing) {
    constexpr u16 kControl[] = {0, 0x8000, 0x8000, 0xc000, 0x4000};
    if (doing.parts().msix != 0)
        doing.target().function.set16(doing.parts().msix + 2, doing.random.pick(kControl));
}

void write_table(const Doing& doing) {
    Random& random = doing.random;
    if (doing.parts().table == 0)
        return;
    const u64 entry = doing.parts().table + 16ULL * random.below(doing.parts().vectors + 1);
    switch (random.below(4)) {
        case 0:
            write32(entry, static_cast<u32>(kMessageAddress | random.below(256) << 12 |
                                            random.below(4) << 2));
            break;
        case 1:
            write32(entry + 8, message_data(random));
            break;
        case 2:
            write32(entry + 12, random.below(2));
            break;
        default:
            read_of(width(random), doing.parts().table + random.below(0x1000));
            break;
    }
}

// ---- PCI

void use_config_space(const Doing& doing) {
    Random& random = doing.random;
    const Function& function = doing.target().function;
    const u32 offset = random.below(8) == 0 ? random.below(4096) : random.below(256);
    const bool is_bar = offset >= kBar0 - 7 && offset < kBar0 + 24;
    const bool is_window = doing.parts().window != 0 && offset + 8 > doing.parts().window &&
                           offset < doing.parts().window + 20;
    if (random.below(2) != 0 || is_bar || is_window)
        read_of(width(random), function.at(offset));
    else
        write_of(width(random), function.at(offset), number(random));
}

void use_window(const Doing& doing) {
    Random& random = doing.random;
    const Function& function = doing.target().function;
    if (doing.parts().window == 0)
        return;
    write8(function.at(doing.parts().window + 4), static_cast<u8>(random.below(7)));
    // Not to the addresses of queues, nor to the table.
    function.set32(doing.parts().window + 8,
                   random.below(8) == 0 ? number(random) | 0x8000'0000 : random.below(0x20));
    function.set32(doing.parts().window + 12, number(random));
    if (random.below(2) != 0)
        function.set32(doing.parts().window + 16, number(random));
    else
        read_of(width(random), function.at(doing.parts().window + 16));
}

void move_bar(const Doing& doing) {
    Random& random = doing.random;
    const u32 was = doing.target().bars[0];
    const u32 places[] = {was,
                          was,
                          was + 0x10'0000,
                          0xffff'ffff,
                          0,
                          static_cast<u32>(kEcam),
                          static_cast<u32>(kPinController),
                          doing.world.targets[random.below(doing.world.count)].bars[0]};
    doing.target().function.set32(kBar0, random.pick(places));
}

void switch_decoding(const Doing& doing) {
    doing.target().function.set16(
        kCommand, static_cast<u16>(doing.random.below(8) | doing.random.below(2) << 10));
}

void mend_function(const Doing& doing) {
    const Target& target = doing.target();
    for (unsigned i = 0; i < 6; ++i)
        target.function.set32(kBar0 + 4 * i, target.bars[i]);
    target.function.enable();
}

// ---- the rest of the machine

void use_platform(const Doing& doing) {
    use_platform(doing.random, doing.world.serial, number(doing.random));
}

void wait(const Doing& doing) {
    for (const Deadline soon{doing.random.below(1 << 20)}; !soon.over();)
        pause();
}

struct Action {
    unsigned weight;
    bool virtio_only;
    void (*act)(const Doing& doing);
};
constexpr Action kActions[] = {
    {8, true, write_register},
    {4, true, read_register},
    {4, true, write_status},
    {4, true, use_device_space},
    {2, true, read_interrupt_status},
    {4, false, use_bar},
    {10, true, bring_up},
    {4, true, reset_queue},
    {40, true, offer},
    {10, true, spoil_ring},
    {10, true, kick},
    {4, true, toggle_messages},
    {8, true, write_table},
    {6, false, use_config_space},
    {3, true, use_window},
    {2, false, move_bar},
    {2, false, switch_decoding},
    {4, false, mend_function},
    {6, false, use_platform},
    {2, false, wait},
};
constexpr unsigned total_weight() {
    unsigned total = 0;
    for (const Action& action : kActions)
        total += action.weight;
    return total;
}

}  // namespace

void step(World& world, Random& random) {
    const Doing doing{world, random, random.below(world.count)};
    unsigned chosen = random.below(total_weight());
    for (const Action& action : kActions) {
        if (chosen < action.weight) {
            if (!action.virtio_only || doing.target().type != 0)
                action.act(doing);
            return;
        }
        chosen -= action.weight;
    }
}

}  // namespace guest::chaos
