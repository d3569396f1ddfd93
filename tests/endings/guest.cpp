// SPDX-License-Identifier: Apache-2.0
// A guest that does what single bytes from the serial port tell it to. endings_rig.hpp has the
// other end.
#include "machine.hpp"
#include "virtio.hpp"

namespace {

constexpr guest::u64 kTouchFrom = guest::kRamStart + (32 << 20);
constexpr guest::u64 kTouchTo = guest::kRamStart + (48 << 20);
constexpr int kMany = 20'000;

void touch() {
    for (guest::u64 at = kTouchFrom; at < kTouchTo; at += 4096)
        guest::write8(at, 1);
    guest::say("touched\n");
}

void print_much() {
    for (int i = 0; i < kMany; ++i)
        guest::say('x');
}

// For its first block. Nobody waits for the answer.
void ask_disk() {
    constexpr guest::u16 kBlock = 2;
    static guest::Ring ring;
    static guest::u8 header[16];  // a read of sector 0
    static guest::u8 data[512];
    static guest::u8 verdict;
    guest::Virtio disk;
    if (!disk.find(kBlock, 0))
        return guest::say("no disk\n");
    disk.function.enable();
    if (!disk.begin(guest::kVersion1))
        return guest::say("no features\n");
    guest::RingMemory::give(ring, 0);
    ring.clear(guest::RingKind::Split, 16);
    disk.select(0);
    disk.describe(0, ring);
    disk.enable(0);
    disk.drive();
    guest::Chain request;
    request.add(header, sizeof header)
        .add(data, sizeof data, guest::kWrite)
        .add(&verdict, sizeof verdict, guest::kWrite)
        .link();
    ring.offer(request);
    disk.kick(0);
    guest::say("asked\n");
}

}  // namespace

extern "C" void guest_main(guest::u64 /*start_info*/) {
    guest::say("ready\n");
    for (;;)
        switch (guest::hear()) {
            case 'd':
                ask_disk();
                break;
            case 'm':
                touch();
                break;
            case 'p':
                print_much();
                break;
            case 't':
                guest::crash();
                break;
            case 'q':
                guest::finish(0);
            default:
                guest::say("?\n");
        }
}
