// SPDX-License-Identifier: Apache-2.0
#include "platform.hpp"

namespace guest {
namespace {

constexpr u16 kSleepControl = 0x600;
constexpr u16 kResetPort = 0x602;
constexpr u16 kDebugExit = 0xf4;
constexpr u16 kCom1 = 0x3f8;

}  // namespace

// The data is the vector: fixed, edge.
u32 fresh_message(const Function& /*from*/) {
    constexpr u8 kFirst = 0x30;  // those below are for messages that nobody waits for
    constexpr u8 kLast = 0xef;
    static u8 next = kFirst;
    if (next == kFirst)
        write32(kLocalApic + 0xf0, 0x1ff);  // enabled by software
    return next < kLast ? next++ : kLast;
}

// Interrupts are never taken here: it stands in the local APIC's request register for ever.
bool arrived(const Function& /*from*/, u32 data) {
    return (read32(kLocalApic + 0x200 + data / 32 * 0x10ULL) >> data % 32 & 1) != 0;
}

// KVM takes all of them apart.
void run_undecodable(const char* /*name*/) {}

// The address port is one for all CPUs.
void read_configuration(Random& random) {
    out32(0xcf8, 0x8000'0000 | (random.below(32) << 11) | (random.below(64) << 2));
    static_cast<void>(in32(0xcfc));
}

void use_platform(Random& random, bool serial, u32 value) {
    constexpr u16 kPorts[] = {0x60,  0x64,  0x70,  0x71,  0x80,  0xcf8,
                              0xcfc, 0x601, 0x604, 0x608, 0x60c, 0x3f8};
    const auto port = static_cast<u16>(
        random.below(4) == 0 ? random.below(0x1'0000) : random.pick(kPorts) + random.below(8));
    const bool is_serial = port + 3 >= kCom1 && port < kCom1 + 8;
    const bool ends = (port + 3 >= kSleepControl && port <= kResetPort) ||
                      (port + 3 >= kDebugExit && port < kDebugExit + 4);
    // CONFIG_DATA is ECAM by another way, without its care.
    const bool is_config = port >= 0xcf9 - 3 && port <= 0xcff;
    if (random.below(2) != 0 || ends || is_config || (is_serial && !serial)) {
        if (!is_serial || serial)
            in8(port);
        return;
    }
    switch (random.below(3)) {
        case 0:
            return out8(port, static_cast<u8>(value));
        case 1:
            return out16(port, static_cast<u16>(value));
        default:
            return out32(port, value);
    }
}

}  // namespace guest
