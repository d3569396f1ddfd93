// SPDX-License-Identifier: Apache-2.0
// A guest that does what single bytes from the serial port tell it to. endings_rig.hpp has the
// other end.
#include "machine.hpp"

namespace {

constexpr guest::u64 kTouchFrom = 32 << 20;
constexpr guest::u64 kTouchTo = 48 << 20;
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

}  // namespace

extern "C" void guest_main(guest::u64 /*start_info*/) {
    guest::say("ready\n");
    for (;;)
        switch (guest::hear()) {
            case 'm':
                touch();
                break;
            case 'p':
                print_much();
                break;
            case 't':
                asm volatile("ud2");
                break;
            case 'q':
                guest::finish(0);
            default:
                guest::say("?\n");
        }
}
