// SPDX-License-Identifier: Apache-2.0
// Three CPUs at what is there beside virtio, and CPUs that are started again in the middle of it.
#include "lab.hpp"
#include "race.hpp"

namespace guest {
namespace {

constexpr u16 kCom1 = 0x3f8;
constexpr const char* kLost = "a CPU does not come back";

struct Nothing {};

// Not the transmitter: what it is given is read as this program's words.
void serial_port(Nothing&, Random& random) {
    const auto port = static_cast<u16>(kCom1 + random.below(8));
    if (port != kCom1 && random.below(2) == 0)
        out8(port, static_cast<u8>(random.next()) & (port == kCom1 + 3 ? 0x7f : 0xff));
    else if (port != kCom1)
        static_cast<void>(in8(port));
}

void clock(Nothing&, Random& random) {
    out8(0x70, static_cast<u8>(random.below(128)));
    if (random.below(2) == 0)
        out8(0x71, static_cast<u8>(random.next()));
    else
        static_cast<void>(in8(0x71));
}

void configuration(Nothing&, Random& random) {
    out32(0xcf8, 0x8000'0000 | static_cast<u32>(random.next() & 0xff'fffc));
    static_cast<void>(in32(0xcfc));
    static_cast<void>(read32(kEcam + (random.next() & 0xf'fffc)));
}

const char* race_ports() {
    Nothing none;
    const u8 line = in8(kCom1 + 3);
    const u8 enables = in8(kCom1 + 1);
    const bool good = race(none, serial_port, serial_port, serial_port);
    out8(kCom1 + 2, 0x01);
    out8(kCom1 + 3, line);
    out8(kCom1 + 1, enables);
    out8(kCom1 + 4, 0);
    return good ? nullptr : kLost;
}

const char* race_clock_and_configuration() {
    Nothing none;
    const bool good = race(none, clock, clock, configuration);
    out32(0xcf8, 0);
    return good ? nullptr : kLost;
}

const char* race_interrupt_controllers() {
    const auto pins = [](Nothing&, Random& random) {
        write32(kIoApic, 0x10 + random.below(0x30));
        write32(kIoApic + 0x10, 0x1'0000 | static_cast<u32>(random.next() & 0xa8ff));  // masked
    };
    const auto pulses = [](Nothing&, Random&) {
        out8(kCom1 + 1, 2);  // the transmitter is empty
        out8(kCom1 + 1, 0);
    };
    Nothing none;
    const bool good = race(none, pulses, pins, pins);
    write32(kIoApic, 0);
    return good ? nullptr : kLost;
}

// Accesses that never end by themselves: a CPU is in the middle of one whenever INIT comes.
void access_for_ever(void*) {
    Nothing none;
    for (Random random{7};;)
        configuration(none, random);
}

const char* cpus_started_again() {
    const auto nothing = [](void*) {};
    start_cpu(1, access_for_ever, nullptr);
    start_cpu(2, access_for_ever, nullptr);
    Random random{3};
    for (const Deadline end{2 * kRaceTime}; !end.over();) {
        start_cpu_again(1 + random.below(2));
        for (const Deadline soon{random.below(1 << 22)}; !soon.over();)
            pause();
    }
    out32(0xcf8, 0);
    for (unsigned cpu = 1; cpu <= 2; ++cpu) {
        start_cpu(cpu, nothing, nullptr);
        if (!stop_cpu(cpu))
            return kLost;
    }
    return nullptr;
}

constexpr PlatformCase kCases[] = {
    {35, "race_serial_port", race_ports},
    {35, "race_clock_and_configuration", race_clock_and_configuration},
    {35, "race_interrupt_controllers", race_interrupt_controllers},
    {35, "cpus_started_again", cpus_started_again},
};

}  // namespace

PlatformCases platform_race_cases() {
    return cases(kCases);
}

}  // namespace guest
