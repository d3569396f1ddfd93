// SPDX-License-Identifier: Apache-2.0
// The machine is reset in the middle of everything, by one CPU or another. Afterwards all devices
// are as new, nothing of what was under way turns up in memory, and disks have what was written.
#include "lab.hpp"
#include "race.hpp"

namespace guest {
namespace {

constexpr u64 kCountSector = 3000;
constexpr u64 kMagic = 0x7465'7365'7220'6f6e;
constexpr u64 kBusySector = 4096;
constexpr u32 kSome = 0x10000;
// A read that takes some milliseconds, to where nothing else is.
constexpr u64 kFar = kSpareRam;
constexpr u32 kBulk = 6 << 20;

constexpr unsigned kDevices = 6;
struct Machine {
    Lab labs[kDevices];
    unsigned count = 0;
};
Machine machine;
Random chance{1};

// ---- a disk that remembers

struct Page {
    u64 magic;
    u64 number;
};

// One sector, there or back; by the first disk.
bool transfer(Lab& disk, bool write) {
    write64(address_of(buffers.header), write ? 1 : 0);
    write64(address_of(buffers.header + 8), kCountSector);
    buffers.other[0] = 0xff;
    Chain chain;
    chain.add(buffers.header, 16)
        .add(buffers.data, 512, write ? u16{0} : kWrite)
        .add(buffers.other, 1, kWrite);
    disk.use(0);
    disk.submit(chain.link());
    return disk.expect_used() && buffers.other[0] == 0;
}

bool open_disk(Lab& disk, const Ram& ram) {
    return disk.open(all_kinds().first[0], ram) && disk.up();
}

unsigned read_number(Lab& disk) {
    const auto* const page = reinterpret_cast<const volatile Page*>(buffers.data);
    if (!transfer(disk, false))
        disk.fail("the number of resets cannot be read");
    return page->magic == kMagic ? static_cast<unsigned>(page->number) : 0;
}

bool write_number(Lab& disk, unsigned number) {
    auto* const page = reinterpret_cast<volatile Page*>(buffers.data);
    page->magic = kMagic;
    page->number = number;
    return transfer(disk, true);
}

// ---- what is under way

void big_block_request(Chain& chain) {
    const bool write = chance.below(4) == 0;
    write64(address_of(buffers.header), write ? 1 : 0);
    write64(address_of(buffers.header + 8), kBusySector);
    chain.add(buffers.header, 16)
        .add_at(kFar, kBulk, write ? u16{0} : kWrite)
        .add(buffers.other, 1, kWrite)
        .link();
}

// As much of it as the device takes.
Chain busy_request(Lab& lab) {
    Chain chain;
    switch (lab.kind->type) {
        case 2:
            big_block_request(chain);
            return chain;
        case 3:
            return chain.add(buffers.data, 4096).link();
        case 4:
            return chain.add(buffers.table, 0x8000, kWrite).link();
        default:
            return lab.request();
    }
}

// The first time: the ring is full; then whatever came back is asked for again.
void keep_busy(Lab& lab, bool first) {
    const auto work = [&](const Chain& chain) {
        if (first)
            lab.fill(chain, Lab::Kicks::One);
        else
            lab.fill_again(chain);
    };
    if (lab.kind->type == 1) {  // room for what comes back
        Chain room;
        lab.use(0);
        work(room.add(buffers.table, 4096, kWrite));
        lab.use(lab.kind->queue);
    }
    work(busy_request(lab));
}

void open_all(const Ram& ram, RingKind rings) {
    const Kinds kinds = all_kinds();
    unsigned ring = 0;
    for (unsigned i = 0; i < kinds.count && machine.count < kDevices; ++i) {
        Lab& lab = machine.labs[machine.count];
        if (!lab.open(kinds.first[i], ram, ring))
            continue;
        lab.ring_kind = rings;
        ring += lab.kind->queues;
        ++machine.count;
    }
}

// Those of `type`, or all.
void make_busy(u16 type) {
    for (unsigned i = 0; i < machine.count; ++i) {
        Lab& lab = machine.labs[i];
        if ((type == 0 || lab.kind->type == type) && lab.up())
            keep_busy(lab, true);
    }
}

void some_time() {
    for (const Deadline soon{chance.below(1 << 23)}; !soon.over();)
        pause();
}

// ---- ways to reset

void work_then_reset(void*) {
    some_time();
    start_again();
}

void work_kicks(void*) {
    for (unsigned i = 0;; ++i) {
        const Lab& lab = machine.labs[i % machine.count];
        lab.device.kick(lab.kind->queue);
    }
}

void work_resets(void*) {
    for (unsigned i = 0;; ++i)
        machine.labs[i % machine.count].device.set8(reg::kStatus, 0);
}

[[noreturn]] void busy_for_ever() {
    for (unsigned i = 0;; ++i)
        keep_busy(machine.labs[i % machine.count], false);
}

// ---- the resets

template <u16 type>
void device_at_work() {
    make_busy(type);
    some_time();
}

void at_once() {
    make_busy(0);
}

void nothing_runs() {}

void devices_being_reset() {
    make_busy(0);
    for (unsigned i = 0; i < machine.count; ++i)
        machine.labs[i].device.set8(reg::kStatus, 0);
}

void bar_elsewhere() {
    make_busy(0);
    for (unsigned i = 0; i < machine.count; ++i)
        machine.labs[i].device.function.set32(kBar0, kFreeBars + (i << 20));
}

void messages_masked() {
    constexpr u16 kEnableAndMask = 3U << 14;
    make_busy(0);
    for (unsigned i = 0; i < machine.count; ++i) {
        const Virtio& device = machine.labs[i].device;
        device.select(machine.labs[i].kind->queue);
        device.set16(reg::kQueueVector, 1);
        device.function.set16(device.parts.msix + 2, kEnableAndMask);
    }
    some_time();
}

void others_kick() {
    make_busy(0);
    start_cpu(1, work_kicks, nullptr);
    start_cpu(2, work_kicks, nullptr);
    some_time();
}

void another_cpu_resets_devices() {
    make_busy(0);
    start_cpu(1, work_resets, nullptr);
    start_cpu(2, work_kicks, nullptr);
    some_time();
}

void by_crash() {
    make_busy(0);
    some_time();
    crash();
}

void by_another_cpu() {
    make_busy(0);
    start_cpu(1, work_then_reset, nullptr);
    busy_for_ever();
}

void by_two_cpus() {
    make_busy(0);
    start_cpu(1, work_then_reset, nullptr);
    start_cpu(2, work_then_reset, nullptr);
    busy_for_ever();
}

struct Reset {
    unsigned row;
    const char* name;
    void (*before)();  ///< start_again() follows, if it comes back
};
constexpr Reset kResets[] = {
    {10, "machine_reset_with_disks_at_work", device_at_work<2>},
    {10, "machine_reset_with_frames_under_way", device_at_work<1>},
    {10, "machine_reset_with_entropy_under_way", device_at_work<4>},
    {10, "machine_reset_with_output_under_way", device_at_work<3>},
    {10, "machine_reset_with_all_at_work", device_at_work<0>},
    {10, "machine_reset_right_after_the_kicks", at_once},
    {10, "machine_reset_and_nothing_runs", nothing_runs},
    {10, "machine_reset_while_devices_are_reset", devices_being_reset},
    {25, "machine_reset_with_bars_elsewhere", bar_elsewhere},
    {24, "machine_reset_with_messages_masked", messages_masked},
    {35, "machine_reset_while_others_kick", others_kick},
    {35, "machine_reset_while_another_cpu_resets_devices", another_cpu_resets_devices},
    {10, "machine_crash_with_all_at_work", by_crash},
    {35, "machine_reset_by_another_cpu", by_another_cpu},
    {35, "machine_reset_by_two_cpus_at_once", by_two_cpus},
};
constexpr unsigned kWays = sizeof kResets / sizeof kResets[0];

// ---- afterwards

bool untouched() {
    for (u32 i = 0; i < kBulk; i += 8 * 4096)
        if (read64(kFar + i + 4096) != 0)
            return false;
    for (u32 i = 0; i < kSome; i += 8)
        if (read64(address_of(buffers.data + i)) != 0)
            return false;
    for (u32 i = 0; i < sizeof buffers.table; i += 8)
        if (read64(address_of(buffers.table + i)) != 0)
            return false;
    return true;
}

const char* as_new(const Ram& ram) {
    const Kinds kinds = all_kinds();
    for (unsigned i = 0; i < kinds.count; ++i) {
        static Lab lab;
        if (!lab.open(kinds.first[i], ram))
            continue;
        if (lab.device.status() != 0)
            return "the status of a device is not 0";
        if ((lab.device.function.get16(lab.device.parts.msix + 2) & 0x8000) != 0)
            return "MSI-X of a device is still on";
    }
    return nullptr;
}

const char* what_is_wrong(const Ram& ram, Lab& disk, unsigned& number) {
    constexpr u64 kWhile = u64{1} << 25;  // cycles: some 10 ms
    if (!untouched())
        return "memory is not as it was loaded";
    const char* why = as_new(ram);
    for (const Deadline soon{kWhile}; !soon.over();)
        pause();
    if (why == nullptr && !untouched())
        why = "a request from before the reset wrote to memory";
    if (!open_disk(disk, ram))
        return disk.why;
    number = read_number(disk);
    if (why == nullptr)
        why = disk.why;
    return why != nullptr ? why : all_work(ram);
}

}  // namespace

unsigned reset_count() {
    return 2 * kWays;
}

ResetVerdict after_reset(const Ram& ram) {
    static Lab disk;
    ResetVerdict verdict;
    verdict.why = what_is_wrong(ram, disk, verdict.number);
    verdict.name = "first_start";
    if (verdict.number == 0)
        return verdict;
    const Reset& was = kResets[(verdict.number - 1) % kWays];
    verdict.row = was.row;
    verdict.name = was.name;
    verdict.ring = verdict.number <= kWays ? "split." : "packed.";
    return verdict;
}

void reset_machine(const Ram& ram, unsigned number) {
    static Lab disk;
    chance = Random{number};
    if (!open_disk(disk, ram) || !write_number(disk, number) || !disk.device.reset()) {
        say("the number of resets cannot be kept\n");
        finish(1);
    }
    open_all(ram, number <= kWays ? RingKind::Split : RingKind::Packed);
    kResets[(number - 1) % kWays].before();
    start_again();
}

}  // namespace guest
