// SPDX-License-Identifier: Apache-2.0
// Says what is in RAM at entry, fills RAM and starts again, as the host says.
//
// A line at each start: "ram nonzero N sum S bss B command TEXT". N 8-byte words outside of this
// program are not zero, S is made of all of them and their addresses, B bytes of .bss are not zero.
// Then it waits for a byte: 'r' fills RAM and resets the machine, 'q' fills RAM and ends it.
#include "machine.hpp"

namespace guest {
namespace {

constexpr u8 kAllGood = 40;
constexpr u64 kProgram = 0x10'0000;
constexpr u64 kProgramEnd = 0x20'0000;
constexpr u64 kFill = 0xaaaa'aaaa'aaaa'aaaa;

volatile u8 nobody_writes_here[0x1'0000];

/// All of RAM but this program, its stack and its page tables.
u64 next(u64 at) {
    at += 8;
    return at == kProgram ? kProgramEnd : at;
}

void say_ram(u64 end) {
    u64 nonzero = 0;
    u64 sum = 0;
    for (u64 at = 0; at < end; at = next(at)) {
        const u64 word = read64(at);
        if (word == 0)
            continue;
        ++nonzero;
        sum = (sum ^ at ^ word) * 0x100'0000'01b3;
    }
    say("ram nonzero ");
    say_number(nonzero);
    say(" sum ");
    say_hex(sum);
}

void fill(u64 end) {
    for (u64 at = 0; at < end; at = next(at))
        write64(at, kFill);
    for (auto& byte : nobody_writes_here)
        byte = static_cast<u8>(kFill);
}

}  // namespace

extern "C" [[noreturn]] void guest_main(u64 start_info) {
    const u64 end = find_ram(start_info).low_end;
    u64 of_bss = 0;
    for (const auto& byte : nobody_writes_here)
        of_bss += byte != 0 ? 1 : 0;
    say_ram(end);
    say(" bss ");
    say_number(of_bss);
    say(" command ");
    say(command_line(start_info));
    say('\n');
    const u8 answer = hear();
    fill(end);
    if (answer == 'q')
        finish(kAllGood);
    start_again();
}

}  // namespace guest
