// SPDX-License-Identifier: Apache-2.0
// The bare machine under the cases: ports, registers in memory, the serial port, time.
//
// Nothing here is the product's: constants are written down once more, from the specifications.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace guest {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

inline constexpr u64 kEcam = 0xe000'0000;
inline constexpr u64 kIoApic = 0xfec0'0000;
inline constexpr u64 kLocalApic = 0xfee0'0000;

// Ports.

inline void out8(u16 port, u8 value) {
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
inline void out16(u16 port, u16 value) {
    asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
inline void out32(u16 port, u32 value) {
    asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
inline u8 in8(u16 port) {
    u8 value = 0;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline u16 in16(u16 port) {
    u16 value = 0;
    asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline u32 in32(u16 port) {
    u32 value = 0;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

// Memory and registers. One instruction each, of exactly the width of T, aligned or not.

inline u8 read8(u64 at) {
    u8 value = 0;
    asm volatile("movb (%1), %0" : "=r"(value) : "r"(at) : "memory");
    return value;
}
inline u16 read16(u64 at) {
    u16 value = 0;
    asm volatile("movw (%1), %0" : "=r"(value) : "r"(at) : "memory");
    return value;
}
inline u32 read32(u64 at) {
    u32 value = 0;
    asm volatile("movl (%1), %0" : "=r"(value) : "r"(at) : "memory");
    return value;
}
inline u64 read64(u64 at) {
    u64 value = 0;
    asm volatile("movq (%1), %0" : "=r"(value) : "r"(at) : "memory");
    return value;
}
inline void write8(u64 at, u8 value) {
    asm volatile("movb %0, (%1)" : : "r"(value), "r"(at) : "memory");
}
inline void write16(u64 at, u16 value) {
    asm volatile("movw %0, (%1)" : : "r"(value), "r"(at) : "memory");
}
inline void write32(u64 at, u32 value) {
    asm volatile("movl %0, (%1)" : : "r"(value), "r"(at) : "memory");
}
inline void write64(u64 at, u64 value) {
    asm volatile("movq %0, (%1)" : : "r"(value), "r"(at) : "memory");
}
/// Width in bytes: 1, 2, 4 or 8.
u64 read_of(unsigned width, u64 at);
void write_of(unsigned width, u64 at, u64 value);

inline void fence() {
    asm volatile("mfence" : : : "memory");
}
inline void pause() {
    asm volatile("pause" : : : "memory");
}
inline u64 cycles() {
    u32 low = 0;
    u32 high = 0;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return u64{high} << 32 | low;
}

inline u64 address_of(const volatile void* what) {
    return reinterpret_cast<u64>(what);
}

/// Some seconds, whatever the processor: what must come does so in far less.
inline constexpr u64 kPatience = u64{1} << 34;  // cycles

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

// What the VMM told at start.

struct Ram {
    u64 low_end = 0;  ///< one past the last byte below 4 GiB
    u64 end = 0;      ///< one past the last byte at all; 0 if there is none above 4 GiB
};
Ram find_ram(u64 start_info);
const char* command_line(u64 start_info);

}  // namespace guest
