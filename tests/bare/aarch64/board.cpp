// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

// What a compiler may call without being told to. The barriers keep it from making calls of these.
extern "C" void* memset(void* to, int value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        static_cast<char*>(to)[i] = static_cast<char>(value);
        asm volatile("" : : : "memory");
    }
    return to;
}
extern "C" void* memcpy(void* to, const void* from, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        static_cast<char*>(to)[i] = static_cast<const char*>(from)[i];
        asm volatile("" : : : "memory");
    }
    return to;
}

namespace guest {
namespace {

// PL011. Spec: Arm DDI 0183.
constexpr u64 kUartData = kUart;
constexpr u64 kUartFlags = kUart + 0x18;
constexpr u32 kReceiveEmpty = 1 << 4;

constexpr u8 kException = 43;  // exit code

// A flattened device tree. Spec: Devicetree Specification 0.4, chapter 5.
constexpr u64 kStructureAt = 8;
constexpr u64 kStringsAt = 12;
constexpr u32 kBeginNode = 1;
constexpr u32 kEndNode = 2;
constexpr u32 kProperty = 3;
constexpr u32 kNop = 4;

u32 big32(u64 at) {
    return __builtin_bswap32(read32(at));
}

u64 big64(u64 at) {
    return u64{big32(at)} << 32 | big32(at + 4);
}

const char* text_at(u64 at) {
    return reinterpret_cast<const char*>(at);
}

bool begins(const char* text, const char* with) {
    for (; *with != 0; ++text, ++with)
        if (*text != *with)
            return false;
    return true;
}

/// The value of the first property of that name in the first node whose name begins so; 0: none.
u64 find_property(u64 tree, const char* node, const char* property) {
    const u64 strings = tree + big32(tree + kStringsAt);
    bool here = false;
    for (u64 at = tree + big32(tree + kStructureAt);;) {
        const u32 token = big32(at);
        at += 4;
        if (token == kBeginNode) {
            here = begins(text_at(at), node);
            while (read8(at) != 0)
                ++at;
            at = (at + 4) & ~u64{3};
        } else if (token == kProperty) {
            if (here && same(text_at(strings + big32(at + 4)), property))
                return at + 8;
            at += 8 + ((u64{big32(at)} + 3) & ~u64{3});
        } else if (token == kEndNode) {
            here = false;
        } else if (token != kNop) {
            return 0;
        }
    }
}

void say_register(const char* name, u64 value) {
    say(name);
    say(" 0x");
    say_hex(value);
}

}  // namespace

void say(char c) {
    write32(kUartData, static_cast<u8>(c));
}

u8 hear() {
    while ((read32(kUartFlags) & kReceiveEmpty) != 0)
        for (const Deadline soon{1 << 20}; !soon.over();)
            pause();
    return static_cast<u8>(read32(kUartData));
}

void finish(u8 code) {
    for (;;)
        write32(kDebugExit, code);
}

void start_again() {
    for (;;)
        call_firmware(psci::kSystemReset);
}

// There is no triple fault: a guest that cannot go on says so, or resets the machine.
void crash() {
    start_again();
}

Ram find_ram(u64 tree) {
    const u64 reg = find_property(tree, "memory@", "reg");
    if (reg == 0)
        return {};
    const u64 end = big64(reg) + big64(reg + 8);
    return {.low_end = end, .end = end};
}

const char* command_line(u64 tree) {
    const u64 line = find_property(tree, "chosen", "bootargs");
    return line == 0 ? "" : text_at(line);
}

// From the vectors of start.S.
extern "C" [[noreturn]] void exception(u64 syndrome, u64 at, u64 address) {
    say_register("\nexception: ESR", syndrome);
    say_register(" ELR", at);
    say_register(" FAR", address);
    say('\n');
    finish(kException);
}

}  // namespace guest
