// SPDX-License-Identifier: Apache-2.0
#include "its.hpp"

#include "pci.hpp"

namespace guest::its {
namespace {

// Registers of the distributor, of the first CPU's redistributor, and of the ITS.
constexpr u64 kDistributorControl = kDistributor;
constexpr u64 kRedistributorControl = kRedistributors;
constexpr u64 kPropertiesAt = kRedistributors + 0x70;
constexpr u64 kPendingAt = kRedistributors + 0x78;
constexpr u64 kItsControl = kIts;
constexpr u64 kCommandsAt = kIts + 0x80;
constexpr u64 kCommandWriter = kIts + 0x88;
constexpr u64 kCommandReader = kIts + 0x90;
constexpr u64 kDevicesAt = kIts + 0x100;
constexpr u64 kCollectionsAt = kIts + 0x108;

constexpr u32 kGroup1 = 1 << 1;
constexpr u64 kValid = u64{1} << 63;
constexpr u64 kTableIsZero = u64{1} << 62;  // of the pending table
constexpr u64 kLpiBits = 14 - 1;            // of an interrupt's number, less one

constexpr u32 kFirstLpi = 8192;
constexpr u32 kLpis = kSlots * kEvents;
constexpr u8 kEnabledLpi = 0xa1;    // and its priority
constexpr u32 kNoInterrupt = 1020;  // and those up to 1023

constexpr u64 kCommandBytes = 32;
constexpr u64 kMapDevice = 0x08;
constexpr u64 kMapCollection = 0x09;
constexpr u64 kMapEvent = 0x0a;
constexpr u64 kInvalidate = 0x0c;
constexpr u64 kSync = 0x05;
constexpr u64 kEventBits = 8 - 1;

// What the hardware reads and writes.
constexpr unsigned kPage = 0x1'0000;
alignas(kPage) volatile u8 commands[kPage];
alignas(kPage) volatile u8 device_table[kPage];
alignas(kPage) volatile u8 collection_table[kPage];
alignas(kPage) volatile u8 pending_table[kPage];
alignas(kPage) volatile u8 properties[kLpis];
alignas(kPage) volatile u8 event_tables[kSlots][0x1000];

bool is_on = false;
bool has_device[kSlots];
bool came[kLpis];
u64 next_command = 0;

u64 id_of(unsigned slot) {
    return u64{slot} << 3;  // device and function, on bus 0
}

u32 lpi_of(unsigned slot, u32 event) {
    return slot * kEvents + event % kEvents;
}

void command(u64 first, u64 second, u64 third) {
    const u64 at = address_of(commands) + next_command;
    write64(at, first);
    write64(at + 8, second);
    write64(at + 16, third);
    write64(at + 24, 0);
    next_command = (next_command + kCommandBytes) % sizeof commands;
    fence();
    write64(kCommandWriter, next_command);
    for (const Deadline late; read64(kCommandReader) != next_command && !late.over();)
        pause();
}

void take_interrupts() {
    u64 all = 0xff;
    u64 on = 1;
    asm volatile("msr s3_0_c4_c6_0, %0" : : "r"(all));   // ICC_PMR_EL1
    asm volatile("msr s3_0_c12_c12_7, %0" : : "r"(on));  // ICC_IGRPEN1_EL1
    asm volatile("isb" : : : "memory");
}

void turn_on() {
    for (volatile u8& each : properties)
        each = kEnabledLpi;
    write32(kDistributorControl, kGroup1);
    write64(kPropertiesAt, address_of(properties) | kLpiBits);
    write64(kPendingAt, address_of(pending_table) | kTableIsZero);
    write32(kRedistributorControl, 1);
    write64(kCommandsAt, kValid | address_of(commands) | (sizeof commands / 0x1000 - 1));
    write64(kDevicesAt, kValid | address_of(device_table));
    write64(kCollectionsAt, kValid | address_of(collection_table));
    write32(kItsControl, 1);
    take_interrupts();
    command(kMapCollection, 0, kValid);  // number 0, to the first CPU
    is_on = true;
}

// Taken and ended at once; nobody is interrupted by them.
void acknowledge_all() {
    for (;;) {
        u64 number = 0;
        asm volatile("mrs %0, s3_0_c12_c12_0" : "=r"(number) : : "memory");  // ICC_IAR1_EL1
        if (number >= kNoInterrupt && number < kFirstLpi)
            return;
        if (number >= kFirstLpi && number - kFirstLpi < kLpis)
            came[number - kFirstLpi] = true;
        asm volatile("msr s3_0_c12_c12_1, %0" : : "r"(number) : "memory");  // ICC_EOIR1_EL1
        asm volatile("isb" : : : "memory");
    }
}

}  // namespace

void map(unsigned slot, u32 event) {
    if (!is_on)
        turn_on();
    const u64 device = id_of(slot) << 32;
    if (!has_device[slot])
        command(kMapDevice | device, kEventBits, kValid | address_of(event_tables[slot]));
    has_device[slot] = true;
    command(kMapEvent | device, u64{kFirstLpi + lpi_of(slot, event)} << 32 | event, 0);
    command(kInvalidate | device, event, 0);
    command(kSync, 0, 0);
}

bool arrived(unsigned slot, u32 event) {
    acknowledge_all();
    return came[lpi_of(slot, event)];
}

void forget(unsigned slot, u32 event) {
    came[lpi_of(slot, event)] = false;
}

}  // namespace guest::its
