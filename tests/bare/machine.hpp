// SPDX-License-Identifier: Apache-2.0
// The bare machine under the cases: registers in memory, the serial port, time. What differs from
// one architecture to the next is in the folders: how it is done (processor.hpp, board.cpp), where
// it lies (board.hpp).
//
// Nothing here is the product's: constants are written down once more, from the specifications.
#pragma once

#include <initializer_list>

#include "board.hpp"
#include "processor.hpp"

namespace guest {

/// Width in bytes: 1, 2, 4 or 8.
u64 read_of(unsigned width, u64 at);
void write_of(unsigned width, u64 at, u64 value);

inline u64 address_of(const volatile void* what) {
    return reinterpret_cast<u64>(what);
}

/// Runs out after `patience` cycles.
class Deadline {
public:
    explicit Deadline(u64 patience = kPatience) : end_{cycles() + patience} {}
    bool over() const { return static_cast<std::int64_t>(cycles() - end_) > 0; }

private:
    u64 end_;
};

// Text.

void say(char c);
void say(const char* text);
void say_number(u64 value);
void say_hex(u64 value);
u8 hear();  ///< waits for a byte from the host

bool same(const char* a, const char* b);
bool contains(const char* text, const char* part);

/// Ends the process with this exit code.
[[noreturn]] void finish(u8 code);
/// Resets the machine.
[[noreturn]] void start_again();
/// The same as a guest does it that can no more.
[[noreturn]] void crash();

// What the VMM told at start.

struct Ram {
    u64 low_end = 0;  ///< one past the last byte of the first stretch, which begins at kRamStart
    u64 end = 0;      ///< one past the last byte at all; 0 if there is a first stretch only
};
/// `told`: what guest_main() is given.
Ram find_ram(u64 told);
const char* command_line(u64 told);

}  // namespace guest
