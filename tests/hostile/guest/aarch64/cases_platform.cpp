// SPDX-License-Identifier: Apache-2.0
// What an Arm board has beside virtio: serial port, clock, buttons, interrupt controllers, memory
// that is none, firmware. Every virtio device must work after each.
#include "lab.hpp"

namespace guest {
namespace {

constexpr unsigned kWidths[] = {1, 2, 4, 8};
constexpr u64 kDevicePage = 0x1000;

// Of all widths, aligned or not: reads, and writes where `write` allows it.
void range(u64 first, u64 end, bool write, u64 value = ~u64{0}) {
    for (const unsigned width : kWidths)
        for (u64 at = first; at + width <= end; ++at) {
            static_cast<void>(read_of(width, at));
            if (write)
                write_of(width, at, value);
        }
}

// ---- the serial port (PL011)

constexpr u64 kFlags = kUart + 0x18;
constexpr u64 kLowPower = kUart + 0x20;
constexpr u64 kDivisor = kUart + 0x24;
constexpr u64 kFraction = kUart + 0x28;
constexpr u64 kLine = kUart + 0x2c;
constexpr u64 kControl = kUart + 0x30;
constexpr u64 kLevels = kUart + 0x34;
constexpr u64 kMask = kUart + 0x38;
constexpr u64 kClear = kUart + 0x44;
constexpr u64 kDma = kUart + 0x48;

/// What the registers were, and are again.
class Kept {
public:
    Kept() {
        for (unsigned i = 0; i < kCount; ++i)
            was_[i] = read32(kWhich[i]);
    }
    ~Kept() {
        for (unsigned i = 0; i < kCount; ++i)
            write32(kWhich[i], was_[i]);
    }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;

private:
    static constexpr u64 kWhich[] = {kLowPower, kDivisor, kFraction, kMask,
                                     kLevels,   kDma,     kLine,     kControl};
    static constexpr unsigned kCount = sizeof kWhich / sizeof kWhich[0];
    u32 was_[kCount];
};

// Not what it sends: that is read as this program's words.
const char* serial_widths() {
    const Kept kept;
    range(kUart + 4, kUart + 0x60, true);
    range(kUart + 4, kUart + 0x60, true, 0);
    range(kUart + kDevicePage - 0x40, kUart + kDevicePage + 0x10, true);
    return nullptr;
}

const char* serial_storm() {
    const Kept kept;
    for (u32 i = 0; i < 200; ++i) {
        write32(kMask, i % 2 == 0 ? 0x7ff : 0);
        write32(kLevels, i);
        write32(kClear, 0x7ff);
        write32(kControl, i % 4 == 0 ? 0 : 0x301);
    }
    return nullptr;
}

const char* serial_loops_back() {
    const Kept kept;
    constexpr u32 kLoop = 0x381;  // loopback, both ways on
    write32(kLine, 0x70);
    write32(kControl, kLoop);
    for (u32 i = 0; i < 100; ++i)
        write32(kUart, '.');
    for (u32 i = 0; i < 100; ++i)
        static_cast<void>(read32(kUart));
    write32(kLine, 0x60);
    return nullptr;
}

const char* serial_divisor_zero() {
    const Kept kept;
    for (const u32 value : {0U, 0xffff'ffffU, 1U})
        for (const u64 at : {kDivisor, kFraction, kLine})
            write32(at, value);
    return read32(kFlags) == 0xffff'ffff ? "the serial port is gone" : nullptr;
}

// ---- the clock (PL031), the buttons (PL061)

const char* clock_widths() {
    range(kClock, kClock + 0x20, true);
    range(kClock, kClock + 0x20, true, 0);
    range(kClock + kDevicePage - 0x40, kClock + kDevicePage + 0x10, true);
    return nullptr;
}

const char* clock_alarms() {
    constexpr u64 kMatch = kClock + 4;
    constexpr u64 kLoad = kClock + 8;
    constexpr u64 kInterrupts = kClock + 0x10;
    const u32 now = read32(kClock);
    for (const u32 value : {0U, 0xffff'ffffU, 0x8000'0000U, now - 1, now, now + 1}) {
        write32(kMatch, value);
        write32(kInterrupts, 1);
        write32(kLoad, value);
        static_cast<void>(read32(kClock));
        write32(kInterrupts, 0);
    }
    write32(kLoad, now);
    return nullptr;
}

const char* buttons_widths() {
    range(kGpio + 0x3f0, kGpio + 0x430, true);
    range(kGpio, kGpio + 0x20, true);
    range(kGpio + 0x3f0, kGpio + 0x430, true, 0);
    range(kGpio + kDevicePage - 0x40, kGpio + kDevicePage + 0x10, true);
    return nullptr;
}

const char* buttons_data_of_every_mask() {
    for (u64 offset = 0; offset < 0x400; offset += 4) {
        write32(kGpio + offset, 0xffff'ffff);
        static_cast<void>(read32(kGpio + offset));
    }
    return nullptr;
}

const char* exit_register_read() {
    range(kDebugExit - 8, kDebugExit, false);
    range(kDebugExit, kDebugExit + 0x10, false);
    range(kDebugExit + 1, kDebugExit + 0x10, true);
    for (const unsigned width : kWidths)
        write_of(width, kDebugExit - width, ~u64{0});
    return nullptr;
}

// ---- memory that is none

const char* nothing_in_the_holes() {
    for (const u64 at : {u64{0}, u64{kNowhere}, u64{kBarsStart - 0x1000}, u64{kFreeBars},
                         kEcam + 0x10'0000, kRamStart - 8, kUart + kDevicePage}) {
        for (const unsigned width : kWidths)
            write_of(width, at, ~u64{0});
        if (read8(at) != 0xff || read64(at) != ~u64{0})
            return "memory that is not there answers";
    }
    return nullptr;
}

const char* behind_ram() {
    constexpr u64 kMapped = u64{16} << 30;
    Function any{0};
    const u32 identity = any.get32(0);
    for (const u64 first : {u64{2} << 32, kMapped - 16})
        range(first, first + 16, true);
    return any.get32(0) == identity ? nullptr : "the host bridge is another";
}

// Accesses that begin in one thing and end in another, or in nothing. Not the end of RAM, nor its
// beginning: those are two accesses.
const char* over_the_ends_of_things() {
    const Function panic = find_function(0x1b36, 0x0011);
    panic.enable();
    for (const u64 end :
         {kDistributor, kDistributor + 0x1'0000, kIts, kIts + 0x1'0000, kIts + 0x2'0000,
          kRedistributors + kRedistributorSize, kUart, kUart + kDevicePage, kClock,
          kClock + kDevicePage, kGpio, kGpio + kDevicePage, kEcam, kEcam + 0x10'0000,
          u64{panic.bar()}, u64{panic.bar()} + 16})
        for (u64 at = end - 7; at < end; ++at) {
            static_cast<void>(read64(at));
            write64(at, end == kUart ? 0 : ~u64{0});
        }
    return nullptr;
}

// Reads only: it is KVM's.
const char* distributor_of_all_widths() {
    range(kDistributor, kDistributor + 0x40, false);
    for (u64 offset = 0; offset < 0x1'0000; offset += 0x1ff)
        for (const unsigned width : kWidths)
            static_cast<void>(read_of(width, kDistributor + offset));
    return nullptr;
}

const char* redistributors_of_all_widths() {
    for (u64 offset = 0; offset < 4 * kRedistributorSize; offset += 0x7fd)
        for (const unsigned width : kWidths)
            static_cast<void>(read_of(width, kRedistributors + offset));
    return nullptr;
}

const char* its_of_all_widths() {
    range(kIts, kIts + 0x140, false);
    for (u64 offset = 0; offset < 0x2'0000; offset += 0x7fd)
        for (const unsigned width : kWidths)
            static_cast<void>(read_of(width, kIts + offset));
    // A message from a processor, which is no device.
    for (const u32 data : {0U, 0x30U, 0xffff'ffffU})
        write32(kMessageAddress, data);
    return nullptr;
}

// ---- firmware

constexpr u64 kNotSupported = 0xffff'ffff;
constexpr u64 kInvalid = ~u64{1};
constexpr u64 kAlreadyOn = ~u64{3};

// 32-bit functions say so in 32 bits or in 64.
bool says(u64 answer, u64 what) {
    return static_cast<u32>(answer) == static_cast<u32>(what);
}

const char* cpus_that_are_none() {
    for (const u64 cpu : {u64{9}, u64{0xff}, u64{0x100}, u64{1} << 32, ~u64{0}})
        if (!says(call_firmware(psci::kCpuOn, cpu, kRamStart, 0), kInvalid))
            return "a CPU that is not there is turned on";
    for (const u64 cpu : {u64{9}, ~u64{0}})
        for (const u64 level : {u64{0}, u64{3}, ~u64{0}})
            static_cast<void>(call_firmware(psci::kAffinityInfo, cpu, level));
    return says(call_firmware(psci::kCpuOn, 0, kRamStart, 0), kAlreadyOn)
               ? nullptr
               : "the running CPU is turned on again";
}

// Neither what turns off, suspends or resets, nor what a driver would use.
const char* unknown_calls() {
    for (const u32 function :
         {0x8400'0020U, 0x8400'01ffU, 0xc400'0020U, 0xc600'0000U, 0x8500'0020U, 0xbf00'0000U,
          0x0000'0001U, 0xffff'ffffU, 0x8000'ffffU, 0xc500'0fffU})
        if (!says(call_firmware(function, ~u64{0}, ~u64{0}, ~u64{0}), kNotSupported))
            return "an unknown call is answered";
    return says(call_firmware(psci::kVersion), kNotSupported) ? "there is no PSCI" : nullptr;
}

constexpr PlatformCase kCases[] = {
    {27, "serial_port_of_odd_widths", serial_widths},
    {16, "serial_port_storm", serial_storm},
    {16, "serial_port_loops_back", serial_loops_back},
    {4, "serial_port_divisor_zero", serial_divisor_zero},
    {27, "clock_of_odd_widths", clock_widths},
    {4, "clock_alarms", clock_alarms},
    {27, "buttons_of_odd_widths", buttons_widths},
    {3, "buttons_data_of_every_mask", buttons_data_of_every_mask},
    {27, "exit_register_read", exit_register_read},
    {27, "nothing_in_the_holes", nothing_in_the_holes},
    {27, "behind_ram", behind_ram},
    {27, "over_the_ends_of_things", over_the_ends_of_things},
    {27, "distributor_of_all_widths", distributor_of_all_widths},
    {27, "redistributors_of_all_widths", redistributors_of_all_widths},
    {27, "its_of_all_widths", its_of_all_widths},
    {3, "cpus_that_are_none", cpus_that_are_none},
    {3, "unknown_calls_of_firmware", unknown_calls},
};

}  // namespace

PlatformCases platform_cases() {
    return cases(kCases);
}

}  // namespace guest
