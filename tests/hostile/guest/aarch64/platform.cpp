// SPDX-License-Identifier: Apache-2.0
#include "platform.hpp"

#include "its.hpp"

namespace guest {
namespace {

constexpr u32 kFirst = 0x30;  // those below are for messages that nobody waits for
constexpr u32 kLast = 0xef;

constexpr u64 kUartMost = 0x48;  // the last register of the UART is before this one
constexpr u64 kUartControl = 0x30;

}  // namespace

// The data is the event. There are only so many, but what came is forgotten again.
u32 fresh_message(const Function& from) {
    static u32 next = kFirst;
    const u32 event = next;
    next = next < kLast ? next + 1 : kFirst;
    its::map(from.slot, event);
    its::arrived(from.slot, event);
    its::forget(from.slot, event);
    return event;
}

bool arrived(const Function& from, u32 data) {
    return its::arrived(from.slot, data);
}

// There is one way only: at odd places and widths.
void read_configuration(Random& random) {
    const unsigned width = 1U << random.below(4);
    static_cast<void>(read_of(width, kEcam + random.below(0xf'fff0)));
}

void use_platform(Random& random, bool serial, u32 value) {
    constexpr u64 kDevices[] = {kUart, kClock, kGpio};
    const u64 device = random.pick(kDevices);
    const u64 at = device + (random.below(4) == 0 ? random.below(0x1000) : random.below(0x80));
    const unsigned width = 1U << random.below(4);
    if (device == kUart && !serial)
        return;
    // What it sends is read as words of this program.
    if (random.below(2) != 0 || (device == kUart && at < kUart + 8))
        static_cast<void>(read_of(width, at));
    else if (device != kUart || at >= kUart + kUartMost || at < kUart + kUartControl)
        write_of(width, at, value);
}

}  // namespace guest
