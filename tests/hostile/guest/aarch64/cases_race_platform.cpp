// SPDX-License-Identifier: Apache-2.0
// Three CPUs at what is there beside virtio, and CPUs that come and go in the middle of it.
#include "lab.hpp"
#include "platform.hpp"
#include "race.hpp"

namespace guest {
namespace {

constexpr const char* kLost = "a CPU does not come back";
constexpr u64 kUartMask = kUart + 0x38;
constexpr u64 kUartClear = kUart + 0x44;

struct Nothing {};

// Not what it sends, nor what turns it off.
void serial_port(Nothing&, Random& random) {
    constexpr u64 kWritten[] = {0x04, 0x34, 0x38, 0x44};
    if (random.below(2) == 0)
        write32(kUart + random.pick(kWritten), static_cast<u32>(random.next()));
    else
        static_cast<void>(read32(kUart + 4 + (random.below(0x48) & ~3U)));
}

void clock_and_buttons(Nothing&, Random& random) {
    constexpr u64 kDevices[] = {kClock, kGpio, kGpio + 0x400};
    const u64 at = random.pick(kDevices) + (random.below(0x24) & ~3U);
    if (random.below(2) == 0)
        write32(at, static_cast<u32>(random.next()));
    else
        static_cast<void>(read32(at));
}

void configuration(Nothing&, Random& random) {
    read_configuration(random);
}

const char* race_serial_port() {
    Nothing none;
    const u32 levels = read32(kUart + 0x34);
    const bool good = race(none, serial_port, serial_port, serial_port);
    write32(kUart + 0x34, levels);
    write32(kUartMask, 0);
    write32(kUartClear, 0x7ff);
    return good ? nullptr : kLost;
}

const char* race_clock_and_configuration() {
    Nothing none;
    return race(none, clock_and_buttons, clock_and_buttons, configuration) ? nullptr : kLost;
}

// Pins go up and down, and what is pending is read.
const char* race_interrupt_controllers() {
    const auto pins = [](Nothing&, Random& random) {
        constexpr u64 kSetPending = kDistributor + 0x200;
        static_cast<void>(read32(kSetPending + 4ULL * random.below(4)));
        static_cast<void>(read32(kDistributor + 0x300 + 4ULL * random.below(4)));
    };
    const auto pulses = [](Nothing&, Random&) {
        write32(kUartMask, 1 << 5);  // the transmitter has room
        write32(kUartMask, 0);
    };
    Nothing none;
    return race(none, pulses, pins, pins) ? nullptr : kLost;
}

// A CPU that is on cannot be turned on; one that turns itself off is on again a moment later.
const char* cpus_come_and_go() {
    const auto some = [](void*) {
        static Random random{7};
        for (const Deadline soon{1 << 22}; !soon.over();)
            read_configuration(random);
    };
    for (const Deadline end{2 * kRaceTime}; !end.over();)
        for (unsigned cpu = 1; cpu <= 2; ++cpu) {
            start_cpu(cpu, some, nullptr);
            start_cpu_again(cpu);
            if (!stop_cpu(cpu))
                return kLost;
        }
    return nullptr;
}

constexpr PlatformCase kCases[] = {
    {35, "race_serial_port", race_serial_port},
    {35, "race_clock_and_configuration", race_clock_and_configuration},
    {35, "race_interrupt_controllers", race_interrupt_controllers},
    {35, "cpus_come_and_go", cpus_come_and_go},
};

}  // namespace

PlatformCases platform_race_cases() {
    return cases(kCases);
}

}  // namespace guest
