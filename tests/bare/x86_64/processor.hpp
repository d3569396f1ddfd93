// SPDX-License-Identifier: Apache-2.0
// x86_64: ports, registers in memory, fences, time; an instruction each.
#pragma once

#include "integers.hpp"

namespace guest {

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
/// A doorbell among the ports.
inline void ring_port(u16 port, u16 value) {
    out16(port, value);
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

inline void fence() {
    asm volatile("mfence" : : : "memory");
}
/// What is read from here on was not read before: that holds anyway.
inline void fence_reads() {
    asm volatile("" : : : "memory");
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

/// Some seconds, whatever the processor: what must come does so in far less.
inline constexpr u64 kPatience = u64{1} << 34;  // cycles

}  // namespace guest
