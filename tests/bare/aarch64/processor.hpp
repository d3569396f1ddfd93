// SPDX-License-Identifier: Apache-2.0
// aarch64: registers in memory, fences, time, calls of the firmware; an instruction each.
#pragma once

#include "integers.hpp"

namespace guest {

/// There are no ports, so nothing has a doorbell among them.
inline void ring_port(u16 /*port*/, u16 /*value*/) {}

// Memory and registers. One instruction each, of exactly the width of T, aligned or not, and of a
// form that a hypervisor can decode: one register, without writing the address back.

inline u8 read8(u64 at) {
    u32 value = 0;
    asm volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
    return static_cast<u8>(value);
}
inline u16 read16(u64 at) {
    u32 value = 0;
    asm volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
    return static_cast<u16>(value);
}
inline u32 read32(u64 at) {
    u32 value = 0;
    asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
    return value;
}
inline u64 read64(u64 at) {
    u64 value = 0;
    asm volatile("ldr %0, [%1]" : "=r"(value) : "r"(at) : "memory");
    return value;
}
inline void write8(u64 at, u8 value) {
    asm volatile("strb %w0, [%1]" : : "r"(value), "r"(at) : "memory");
}
inline void write16(u64 at, u16 value) {
    asm volatile("strh %w0, [%1]" : : "r"(value), "r"(at) : "memory");
}
inline void write32(u64 at, u32 value) {
    asm volatile("str %w0, [%1]" : : "r"(value), "r"(at) : "memory");
}
inline void write64(u64 at, u64 value) {
    asm volatile("str %0, [%1]" : : "r"(value), "r"(at) : "memory");
}

inline void fence() {
    asm volatile("dmb sy" : : : "memory");
}
/// What is read from here on was not read before.
inline void fence_reads() {
    asm volatile("dmb ishld" : : : "memory");
}
inline void pause() {
    asm volatile("yield" : : : "memory");
}

/// The virtual counter in units of a processor of 3 GHz, which is what cases count in.
inline u64 cycles() {
    u64 ticks = 0;
    u64 per_second = 0;
    asm volatile("mrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
    asm volatile("mrs %0, cntfrq_el0" : "=r"(per_second));
    return ticks * (per_second < 3'000'000'000 ? 3'000'000'000 / (per_second | 1) : 1);
}

/// Long enough for a machine that is itself emulated; what must come does so in far less.
inline constexpr u64 kPatience = u64{1} << 36;  // cycles

/// PSCI, by HVC. Spec: Arm DEN 0022.
inline u64 call_firmware(u32 function, u64 first = 0, u64 second = 0, u64 third = 0) {
    register u64 x0 asm("x0") = function;
    register u64 x1 asm("x1") = first;
    register u64 x2 asm("x2") = second;
    register u64 x3 asm("x3") = third;
    asm volatile("hvc #0"
                 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                 :
                 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                   "x16", "x17", "memory");
    return x0;
}

namespace psci {
inline constexpr u32 kVersion = 0x8400'0000;
inline constexpr u32 kCpuOff = 0x8400'0002;
inline constexpr u32 kCpuOn = 0xc400'0003;
inline constexpr u32 kAffinityInfo = 0xc400'0004;
inline constexpr u32 kSystemOff = 0x8400'0008;
inline constexpr u32 kSystemReset = 0x8400'0009;
inline constexpr u64 kOff = 1;  // of AFFINITY_INFO
}  // namespace psci

}  // namespace guest
