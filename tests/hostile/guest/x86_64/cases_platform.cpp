// SPDX-License-Identifier: Apache-2.0
// What a PC has beside virtio: ports, memory that is none, the other way to PCI configuration
// space. Every virtio device must work after each.
#include "lab.hpp"

namespace guest {
namespace {

constexpr unsigned kWidths[] = {1, 2, 4, 8};
constexpr u16 kAddressPort = 0xcf8;
constexpr u16 kDataPort = 0xcfc;
constexpr u32 kAddressEnable = 0x8000'0000;
constexpr u64 kEcamEnd = kEcam + 0x10'0000;  // one bus

u32 in_of(unsigned width, u16 port) {
    switch (width) {
        case 1:
            return in8(port);
        case 2:
            return in16(port);
        default:
            return in32(port);
    }
}

void out_of(unsigned width, u16 port, u32 value) {
    switch (width) {
        case 1:
            return out8(port, static_cast<u8>(value));
        case 2:
            return out16(port, static_cast<u16>(value));
        default:
            return out32(port, value);
    }
}

void in_string(unsigned width, u16 port, u64 count) {
    u64 to = address_of(buffers.table);
    if (width == 1)
        asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
    else if (width == 2)
        asm volatile("rep insw" : "+D"(to), "+c"(count) : "d"(port) : "memory");
    else
        asm volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

void out_string(unsigned width, u16 port, u64 count) {
    u64 from = address_of(buffers.table);
    if (width == 2)
        asm volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(port) : "memory");
    else
        asm volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory");
}

// Ports from `first` on, read and, where `write` allows it, written at every width but one byte.
void port_range(u16 first, u16 count, bool write) {
    for (u16 port = first; port < first + count; ++port)
        for (const unsigned width : {2U, 4U}) {
            static_cast<void>(in_of(width, port));
            if (write)
                out_of(width, port, 0xffff'ffff);
        }
}

// ---- ports: row 27

const char* serial_widths() {
    port_range(0x3f7, 9, true);
    in_string(2, 0x3f8, 16);
    in_string(4, 0x3fd, 16);
    out_string(2, 0x3f8, 8);
    return in8(0x3fd) == 0xff ? "the serial port is gone" : nullptr;
}

const char* serial_storm() {
    const u8 enables = in8(0x3f9);
    for (unsigned i = 0; i < 200; ++i)
        out8(0x3f9, i % 2 == 0 ? 0x0f : 0);
    out8(0x3f9, enables);
    for (unsigned i = 0; i < 100; ++i)
        out8(0x3fa, static_cast<u8>(0xc1 | (i & 1) << 1));
    return nullptr;
}

// A divisor of zero, and of everything; output still comes.
const char* serial_divisor_zero() {
    const u8 line = in8(0x3fb);
    out8(0x3fb, 0x80 | line);
    const u8 low = in8(0x3f8);
    const u8 high = in8(0x3f9);
    for (const u8 value : {u8{0}, u8{0xff}, low}) {
        out8(0x3f8, value);
        out8(0x3f9, value == low ? high : value);
    }
    out8(0x3fb, line);
    return in8(0x3fb) == line ? nullptr : "the line control register is another";
}

const char* clock_widths() {
    port_range(0x6f, 4, true);
    in_string(1, 0x71, 64);
    return nullptr;
}

const char* clock_indices() {
    const u8 before = in8(0x70);
    for (unsigned index = 0; index < 256; ++index) {
        out8(0x70, static_cast<u8>(index));
        static_cast<void>(in8(0x71));
        out8(0x71, 0xff);
    }
    // Hours, days and months that do not exist are shown as they are, or not: nobody divides by
    // them.
    for (unsigned index = 0; index < 0x40; ++index) {
        out8(0x70, static_cast<u8>(index));
        static_cast<void>(in8(0x71));
        out8(0x71, 0);
    }
    out8(0x70, before);
    return nullptr;
}

// None of these is a byte, so none of them may power off or reset the machine.
const char* power_widths() {
    for (const unsigned width : {2U, 4U})
        for (u16 port = 0x5fd; port < 0x610; ++port) {
            static_cast<void>(in_of(width, port));
            out_of(width, port, 0x3434'3434);
            out_of(width, port, 0x0101'0101);
        }
    return nullptr;
}

const char* sleep_types_that_are_none() {
    for (u8 type = 0; type < 5; ++type)
        out8(0x600, static_cast<u8>(0x20 | type << 2));
    for (const u8 value : {u8{0}, u8{2}, u8{6}, u8{0x0e}, u8{0xff}})  // 1 is a reset
        out8(0x602, value);
    return nullptr;
}

const char* exit_port_read() {
    for (const unsigned width : {1U, 2U, 4U})
        for (u16 port = 0xf4; port < 0xf8; ++port)
            static_cast<void>(in_of(width, port));
    for (u16 port = 0xf5; port < 0xf8; ++port)
        out8(port, 0xff);
    return nullptr;
}

const char* ports_that_are_not_there() {
    for (const u16 port : {u16{0x80}, u16{0x2f8}, u16{0x604}, u16{0xcf7}, u16{0xd00}, u16{0x1000},
                           u16{0xb004}, u16{0xfffc}}) {
        for (const unsigned width : {1U, 2U, 4U})
            out_of(width, port, 0xffff'ffff);
        if (in8(port) != 0xff || in16(port) != 0xffff || in32(port) != 0xffff'ffff)
            return "a port that is not there answers";
        in_string(4, port, 300);
        out_string(4, port, 30);
    }
    return nullptr;
}

// Up to the last port; beyond it the processor itself stops ring 3.
const char* the_last_ports() {
    for (const unsigned width : {1U, 2U, 4U}) {
        const auto port = static_cast<u16>(0x10000 - width);
        out_of(width, port, 0xffff'ffff);
        static_cast<void>(in_of(width, port));
    }
    return in8(0xffff) == 0xff ? nullptr : "a port that is not there answers";
}

// ---- memory that is none

const char* nothing_in_the_hole() {
    for (const u64 at : {0xdfff'0000ULL, 0xf000'0000ULL, 0xfec0'1000ULL, 0xfed0'0000ULL,
                         0xfee0'2000ULL, 0xffff'fff8ULL}) {
        for (const unsigned width : kWidths)
            write_of(width, at, ~u64{0});
        if (read8(at) != 0xff || read64(at) != ~u64{0})
            return "memory that is not there answers";
    }
    u64 from = 0xdfff'0000;
    u64 to = address_of(buffers.table);
    u64 count = 512;
    asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    return nullptr;
}

const char* behind_ram() {
    const Function any = find_function(0x1b36, 0x0008);
    const u32 identity = any.get32(0);
    // The first GiB above 4 GiB is mapped here, and RAM ends in it.
    for (const unsigned width : kWidths)
        for (u64 at = 0x1'3fff'fff0; at < 0x1'3fff'fff8; ++at) {
            write_of(width, at, ~u64{0});
            static_cast<void>(read_of(width, at));
        }
    return any.get32(0) == identity ? nullptr : "the host bridge is another";
}

// Accesses that begin in one thing and end in another, or in nothing.
const char* over_the_ends_of_things() {
    const Function panic = find_function(0x1b36, 0x0011);
    panic.enable();
    for (const u64 end : {u64{kEcam}, kEcamEnd, kIoApic, kIoApic + 0x1000, kLocalApic,
                          kLocalApic + 0x1000, u64{panic.bar()}, u64{panic.bar()} + 16})
        for (u64 at = end - 7; at < end; ++at) {
            static_cast<void>(read64(at));
            write64(at, ~u64{0});
        }
    return nullptr;
}

const char* io_apic_of_all_widths() {
    for (const unsigned width : kWidths)
        for (u64 offset = 0; offset < 0x24; ++offset)
            static_cast<void>(read_of(width, kIoApic + offset));
    for (u32 index = 0; index < 256; ++index) {
        write32(kIoApic, index);
        static_cast<void>(read32(kIoApic + 0x10));
    }
    write32(kIoApic, 0);
    return nullptr;
}

const char* local_apic_of_all_widths() {
    for (const unsigned width : kWidths)
        for (u64 offset = 0; offset < 0x400; offset += 13)
            static_cast<void>(read_of(width, kLocalApic + offset));
    return nullptr;
}

// ---- configuration space by ports

const char* host_bridge(const char* why) {
    const Function bridge{0};
    out32(kAddressPort, kAddressEnable);
    const u32 by_ports = in32(kDataPort);
    out32(kAddressPort, 0);
    return bridge.get32(0) == by_ports && by_ports != 0xffff'ffff ? nullptr : why;
}

const char* address_port_widths() {
    out32(kAddressPort, kAddressEnable);
    for (u16 port = kAddressPort - 3; port < kDataPort + 4; ++port)
        for (const unsigned width : {1U, 2U, 4U}) {
            static_cast<void>(in_of(width, port));
            // The address port itself takes 32 bits and nothing else.
            if (port < kDataPort && (port != kAddressPort || width != 4))
                out_of(width, port, 0x1234'5678);
        }
    if (in32(kAddressPort) != kAddressEnable)
        return "a narrow write reached the address port";
    return host_bridge("the host bridge is another");
}

const char* data_port_widths() {
    out32(kAddressPort, kAddressEnable);
    for (u16 port = kDataPort; port < kDataPort + 4; ++port)
        for (const unsigned width : {1U, 2U, 4U}) {
            out_of(width, port, 0xffff'ffff);
            static_cast<void>(in_of(width, port));
        }
    in_string(4, kDataPort, 64);
    return host_bridge("the host bridge is another");
}

const char* address_port_disabled() {
    out32(kAddressPort, 0x7fff'ffff);
    if (in32(kDataPort) != 0xffff'ffff)
        return "the data port answers while it is off";
    out32(kDataPort, 0);
    return host_bridge("the host bridge is another");
}

const char* addresses_of_nothing() {
    // Other buses, functions that are not there, reserved bits, the end of the space.
    for (const u32 address :
         {0x80ff'ff00U, 0x8001'0000U, 0x8000'f800U, 0x8000'0700U, 0xff00'0000U, 0x8000'f8fcU}) {
        out32(kAddressPort, address);
        for (const unsigned width : {1U, 2U, 4U})
            for (u16 port = kDataPort; port < kDataPort + 4; ++port) {
                out_of(width, port, 0xffff'ffff);
                static_cast<void>(in_of(width, port));
            }
    }
    return host_bridge("the host bridge is another");
}

constexpr PlatformCase kCases[] = {
    {27, "serial_port_of_odd_widths", serial_widths},
    {16, "serial_port_storm", serial_storm},
    {4, "serial_port_divisor_zero", serial_divisor_zero},
    {27, "clock_of_odd_widths", clock_widths},
    {3, "clock_of_every_index", clock_indices},
    {27, "power_ports_of_odd_widths", power_widths},
    {27, "sleep_types_that_are_none", sleep_types_that_are_none},
    {27, "exit_port_read", exit_port_read},
    {27, "ports_that_are_not_there", ports_that_are_not_there},
    {27, "the_last_ports", the_last_ports},
    {27, "nothing_in_the_hole", nothing_in_the_hole},
    {27, "behind_ram", behind_ram},
    {27, "over_the_ends_of_things", over_the_ends_of_things},
    {27, "io_apic_of_all_widths", io_apic_of_all_widths},
    {27, "local_apic_of_all_widths", local_apic_of_all_widths},
    {27, "address_port_of_odd_widths", address_port_widths},
    {27, "data_port_of_odd_widths", data_port_widths},
    {25, "address_port_disabled", address_port_disabled},
    {3, "addresses_of_nothing", addresses_of_nothing},
};

}  // namespace

PlatformCases platform_cases() {
    return cases(kCases);
}

}  // namespace guest
