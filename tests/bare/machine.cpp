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

// struct hvm_start_info, version 1, of Xen's public/arch-x86/hvm/start_info.h.
constexpr u64 kCommandLineAt = 24;
constexpr u64 kMemoryMapAt = 40;
constexpr u64 kMemoryMapEntries = 48;
constexpr u64 kEntrySize = 24;
constexpr u32 kRam = 1;

}  // namespace

u64 read_of(unsigned width, u64 at) {
    switch (width) {
        case 1:
            return read8(at);
        case 2:
            return read16(at);
        case 4:
            return read32(at);
        default:
            return read64(at);
    }
}

void write_of(unsigned width, u64 at, u64 value) {
    switch (width) {
        case 1:
            return write8(at, static_cast<u8>(value));
        case 2:
            return write16(at, static_cast<u16>(value));
        case 4:
            return write32(at, static_cast<u32>(value));
        default:
            return write64(at, value);
    }
}

void say(char c) {
    out8(kCom1, static_cast<u8>(c));
}

void say(const char* text) {
    for (; *text != 0; ++text)
        say(*text);
}

void say_number(u64 value) {
    if (value >= 10)
        say_number(value / 10);
    say(static_cast<char>('0' + value % 10));
}

void say_hex(u64 value) {
    if (value >= 16)
        say_hex(value / 16);
    say("0123456789abcdef"[value % 16]);
}

u8 hear() {
    while ((in8(kLineStatus) & kDataReady) == 0)
        for (const Deadline soon{1 << 20}; !soon.over();)
            pause();
    return in8(kCom1);
}

bool same(const char* a, const char* b) {
    while (*a != 0 && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

bool contains(const char* text, const char* part) {
    for (;; ++text) {
        const char* a = text;
        const char* b = part;
        while (*b != 0 && *a == *b) {
            ++a;
            ++b;
        }
        if (*b == 0)
            return true;
        if (*text == 0)
            return false;
    }
}

void finish(u8 code) {
    for (;;)
        out8(kDebugExit, code);
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
