// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

// What a compiler may call without being told to.
extern "C" void* memset(void* to, int value, std::size_t size) {
    void* at = to;
    asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
    return to;
}
extern "C" void* memcpy(void* to, const void* from, std::size_t size) {
    void* at = to;
    asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
    return to;
}

namespace guest {
namespace {

constexpr u16 kCom1 = 0x3f8;
constexpr u16 kLineStatus = kCom1 + 5;
constexpr u8 kDataReady = 1;
constexpr u16 kDebugExit = 0xf4;
constexpr u16 kResetPort = 0x602;  // ACPI's reset register; its value is 1

// struct hvm_start_info, version 1, of Xen's public/arch-x86/hvm/start_info.h.
constexpr u64 kCommandLineAt = 24;
constexpr u64 kMemoryMapAt = 40;
constexpr u64 kMemoryMapEntries = 48;
constexpr u64 kEntrySize = 24;
constexpr u32 kRam = 1;

}  // namespace

void say(char c) {
    out8(kCom1, static_cast<u8>(c));
}

u8 hear() {
    while ((in8(kLineStatus) & kDataReady) == 0)
        for (const Deadline soon{1 << 20}; !soon.over();)
            pause();
    return in8(kCom1);
}

void finish(u8 code) {
    for (;;)
        out8(kDebugExit, code);
}

void start_again() {
    for (;;)
        out8(kResetPort, 1);
}

// There is no IDT, so it becomes a triple fault.
void crash() {
    for (;;)
        asm volatile("ud2");
}

Ram find_ram(u64 start_info) {
    Ram ram;
    const u64 map = read64(start_info + kMemoryMapAt);
    const u32 entries = read32(start_info + kMemoryMapEntries);
    for (u32 i = 0; i < entries; ++i) {
        const u64 entry = map + i * kEntrySize;
        const u64 end = read64(entry) + read64(entry + 8);
        if (read32(entry + 16) != kRam)
            continue;
        u64& kept = end > (u64{1} << 32) ? ram.end : ram.low_end;
        kept = end > kept ? end : kept;
    }
    return ram;
}

const char* command_line(u64 start_info) {
    return reinterpret_cast<const char*>(read64(start_info + kCommandLineAt));
}

}  // namespace guest
