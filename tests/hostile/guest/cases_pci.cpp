// SPDX-License-Identifier: Apache-2.0
// PCI beside virtio: the host bridge, slots and buses that are not there, pvpanic. Every virtio
// device must work after each.
#include "lab.hpp"
#include "race.hpp"

namespace guest {
namespace {

constexpr unsigned kWidths[] = {1, 2, 4, 8};
constexpr u64 kEcamEnd = kEcam + 0x10'0000;  // one bus

bool bridge_answers() {
    return Function{0}.get32(0) != 0xffff'ffff;
}

const char* slots_that_are_empty() {
    for (unsigned slot = 0; slot < kSlots; ++slot)
        for (unsigned function = 1; function < 8; ++function) {
            const u64 at = kEcam + slot * 0x8000ULL + function * 0x1000ULL;
            write32(at + kCommand, 0xffff'ffff);
            write32(at + kBar0, 0);
            if (slot == 31 && read32(at) != 0xffff'ffff)
                return "a function that is not there answers";
        }
    return bridge_answers() ? nullptr : "the host bridge is gone";
}

const char* buses_that_are_not_there() {
    for (const u64 at : {kEcamEnd, kEcamEnd + 0x8000, u64{kEcam + 0xfff'f000}})
        for (const unsigned width : kWidths) {
            write_of(width, at, ~u64{0});
            if (read8(at) != 0xff)
                return "a bus that is not there answers";
        }
    return nullptr;
}

const char* host_bridge_written() {
    const Function bridge{0};
    const u32 identity = bridge.get32(0);
    for (u32 offset = 0; offset < 0x1000; offset += offset < 0x100 ? 4 : 0x100)
        bridge.set32(offset, 0xffff'ffff);
    bridge.set16(kCommand, kCommandMemory);
    return bridge.get32(0) == identity ? nullptr : "the host bridge is another";
}

// ---- pvpanic

struct Panic {
    Function function;
    u32 bar = 0;
};

Function panic_device() {
    const Function function = find_function(0x1b36, 0x0011);
    function.enable();
    return function;
}

const char* panic_widths() {
    const Function function = panic_device();
    const u64 at = function.bar();
    const u8 known = read8(at);
    for (const unsigned width : kWidths)
        for (u64 offset = 0; offset < 17; ++offset)
            if (width != 1 || offset != 0) {
                write_of(width, at + offset, ~u64{0});
                static_cast<void>(read_of(width, at + offset));
            }
    return read8(at) == known && known != 0xff ? nullptr : "the events it knows are others";
}

// The host was told to go on, and must not say so a thousand times.
const char* panic_storm() {
    const u64 at = panic_device().bar();
    for (unsigned i = 0; i < 1000; ++i)
        write8(at, static_cast<u8>(i));
    return nullptr;
}

const char* panic_unknown_events() {
    const u64 at = panic_device().bar();
    for (const u8 value : {u8{0xf8}, u8{0x80}, u8{0xff}})
        write8(at, value);
    return nullptr;
}

const char* panic_bar_moves() {
    const Function function = panic_device();
    const u32 bar = function.bar();
    for (const u32 to : {0U, 0xffff'fff0U, kBarsEnd - 16, kBarsStart - 16,
                         static_cast<u32>(kMessageController), kBarsStart + 16}) {
        function.set32(kBar0, to);
        static_cast<void>(read8(to & ~0xfU));
    }
    function.set32(kBar0, bar);
    return read8(bar) != 0xff ? nullptr : "pvpanic is gone";
}

const char* race_panic_events() {
    const auto events = [](Panic& with, Random& random) {
        write8(with.bar, static_cast<u8>(random.next()));
        static_cast<void>(read8(with.bar));
    };
    const auto move = [](Panic& with, Random& random) {
        const u32 places[] = {with.bar, kFreeBars, 0, 0xffff'fff0};
        with.function.set32(kBar0, random.pick(places));
    };
    Panic panic{.function = find_function(0x1b36, 0x0011)};
    panic.function.enable();
    panic.bar = panic.function.bar();
    const bool good = race(panic, events, events, move, 4 * kRaceTime);
    panic.function.set32(kBar0, panic.bar);
    if (!good)
        return "a CPU does not come back";
    return read8(panic.bar) != 0xff ? nullptr : "pvpanic is gone";
}

constexpr PlatformCase kCases[] = {
    {3, "slots_that_are_empty", slots_that_are_empty},
    {3, "buses_that_are_not_there", buses_that_are_not_there},
    {25, "host_bridge_written", host_bridge_written},
    {27, "pvpanic_of_odd_widths", panic_widths},
    {16, "pvpanic_storm", panic_storm},
    {27, "pvpanic_unknown_events", panic_unknown_events},
    {25, "pvpanic_bar_moves", panic_bar_moves},
    {35, "race_panic_events", race_panic_events},
};

}  // namespace

PlatformCases pci_cases() {
    return cases(kCases);
}

}  // namespace guest
