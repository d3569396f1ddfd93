// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

namespace guest {

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

}  // namespace guest
