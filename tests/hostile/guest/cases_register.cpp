// SPDX-License-Identifier: Apache-2.0
// Registers at large: selectors that select nothing, every width at every offset, what cannot be
// written, the device's own configuration space.
#include "lab.hpp"

namespace guest {
namespace {

constexpr unsigned kWidths[] = {1, 2, 4, 8};
constexpr u64 kValues[] = {0, 1, 0xffff'ffff'ffff'ffff, 0x8000'0000'8000'8080};

// ---- queue_select: row 3

void nothing_selected(Lab& lab, u16 queue) {
    if (!lab.up())
        return;
    const Virtio& device = lab.device;
    device.select(queue);
    lab.expect(device.get16(reg::kQueueSize), 0, "the size of no queue is");
    lab.expect(device.get16(reg::kQueueEnable), 0, "queue_enable of no queue is");
    static_cast<void>(device.get16(reg::kQueueVector));
    static_cast<void>(device.get16(reg::kQueueNotifyOff));
    device.set16(reg::kQueueSize, 8);
    device.set16(reg::kQueueVector, 0);
    device.set16(reg::kQueueVector, 0xffff);
    device.set_address(reg::kQueueDescriptors, 0x1000);
    device.set_address(reg::kQueueDriver, 0x1000);
    device.set_address(reg::kQueueDevice, 0x1000);
    device.set16(reg::kQueueEnable, 1);
    device.set16(reg::kQueueReset, 1);
    lab.expect(device.get16(reg::kQueueEnable), 0, "queue_enable of no queue is");
    lab.expect(device.address(reg::kQueueDescriptors), 0, "the ring of no queue is at");
    lab.works();
}
void one_too_many(Lab& lab) {
    nothing_selected(lab, lab.device.get16(reg::kNumQueues));
}
void selects_8000(Lab& lab) {
    nothing_selected(lab, 0x8000);
}
void selects_ffff(Lab& lab) {
    nothing_selected(lab, 0xffff);
}

// ---- all of them, in each phase

// Every width at every offset; status itself is left alone, so that the phase lasts.
void write_all(Lab& lab, u64 value) {
    for (const unsigned width : kWidths)
        for (u32 offset = 0; offset < reg::kEnd; offset += 2)
            if (offset + width <= reg::kStatus || offset > reg::kStatus)
                write_of(width, lab.device.parts.common + offset, value);
}

void read_all(Lab& lab) {
    for (const unsigned width : kWidths)
        for (u32 offset = 0; offset < reg::kEnd + 8; ++offset)
            static_cast<void>(read_of(width, lab.device.parts.common + offset));
}

void all_after_reset(Lab& lab) {
    if (!lab.expect(lab.device.reset(), "the reset does not end"))
        return;
    for (const u64 value : kValues)
        write_all(lab, value);
    read_all(lab);
}
void all_after_features_ok(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    for (const u64 value : kValues)
        write_all(lab, value);
}
void all_while_running(Lab& lab) {
    if (!lab.up())
        return;
    // Not queue_reset, which a driver may write.
    for (u32 offset = 0; offset < reg::kQueueReset; ++offset)
        for (const unsigned width : kWidths)
            if ((offset + width <= reg::kStatus || offset > reg::kStatus) &&
                offset + width <= reg::kQueueReset)
                write_of(width, lab.device.parts.common + offset, ~u64{0});
    read_all(lab);
    lab.works();
}
void all_after_failed(Lab& lab) {
    if (!lab.up())
        return;
    lab.device.add_status(status::kFailed);
    for (const u64 value : kValues)
        write_all(lab, value);
}
void all_during_reset(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(lab.request());
    lab.device.set8(reg::kStatus, 0);
    write_all(lab, ~u64{0});
}
void all_when_it_needs_reset(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.set_address(reg::kQueueDescriptors, lab.ram.end);
    lab.device.enable(lab.queue());
    lab.device.drive();
    if (!lab.expect_needs_reset())
        return;
    for (const u64 value : kValues)
        write_all(lab, value);
    lab.expect(lab.device.needs_reset(), "NEEDS_RESET went away without a reset");
}

// ---- what cannot be written

void read_only_registers(Lab& lab) {
    if (!lab.up())
        return;
    const u64 features = lab.device.offered();
    const u16 queues = lab.device.get16(reg::kNumQueues);
    const u8 generation = lab.device.get8(reg::kGeneration);
    lab.device.set32(reg::kDeviceFeature, 0);
    lab.device.set16(reg::kNumQueues, 0xffff);
    lab.device.set8(reg::kGeneration, static_cast<u8>(generation + 1));
    lab.device.set16(reg::kQueueNotifyOff, 0x1234);
    lab.device.set16(reg::kQueueNotifyData, 0x1234);
    lab.expect(lab.device.offered(), features, "the features on offer are");
    lab.expect(lab.device.get16(reg::kNumQueues), queues, "num_queues is");
    lab.expect(lab.device.get8(reg::kGeneration), generation, "config_generation is");
    lab.works();
}

// Halves of registers: wider or narrower than they are.
void wrong_widths(Lab& lab) {
    if (!lab.up())
        return;
    lab.expect(read8(lab.device.parts.common + reg::kNumQueues), 0xff, "half of num_queues is");
    lab.expect(read16(lab.device.parts.common + reg::kStatus), 0xffff, "two status bytes are");
    const u64 address = lab.device.get32(reg::kQueueDescriptors) |
                        u64{lab.device.get32(reg::kQueueDescriptors + 4)} << 32;
    lab.expect(read64(lab.device.parts.common + reg::kQueueDescriptors), address,
               "a ring's address in one read is");
    lab.expect(read64(lab.device.parts.common + reg::kQueueDescriptors + 4), ~u64{0},
               "two halves of ring addresses are");
    write64(lab.device.parts.common + reg::kQueueDescriptors, 0);
    write32(lab.device.parts.common + reg::kQueueSelect, 0x0001'ffff);
    write16(lab.device.parts.common + reg::kStatus, 0);
    lab.expect(lab.device.status() & status::kDriverOk, status::kDriverOk, "DRIVER_OK is");
    lab.works();
}

// Between the structures there is nothing.
void holes_of_the_bar(Lab& lab) {
    if (!lab.up())
        return;
    const u64 bar = lab.device.function.bar();
    for (const u64 offset : {0x3cULL, 0x3eULL, 0x40ULL, 0x7f8ULL, 0x801ULL, 0x808ULL, 0xff8ULL})
        for (const unsigned width : kWidths) {
            write_of(width, bar + offset, ~u64{0});
            static_cast<void>(read_of(width, bar + offset));
        }
    lab.works();
}

void isr_of_all_widths(Lab& lab) {
    if (!lab.up())
        return;
    for (const unsigned width : kWidths) {
        write_of(width, lab.device.parts.isr, ~u64{0});
        static_cast<void>(read_of(width, lab.device.parts.isr));
        static_cast<void>(read_of(width, lab.device.parts.isr - 1));
    }
    lab.works();
}

// ---- the device's own space: row 19

void device_space_beyond_its_end(Lab& lab) {
    if (!lab.up())
        return;
    const u64 at = lab.device.parts.device;
    const u64 length = lab.device.parts.device_length;
    for (const unsigned width : kWidths) {
        for (u64 offset = length > 8 ? length - 8 : 0; offset < length + 9; ++offset) {
            static_cast<void>(read_of(width, at + offset));
            write_of(width, at + offset, ~u64{0});
        }
        // Up to the end of the page, and over it into the next structure's.
        static_cast<void>(read_of(width, at + 0x1000 - width));
        static_cast<void>(read_of(width, at + 0x1000 - 1));
        write_of(width, at + 0x1000 - width, ~u64{0});
    }
    lab.works();
}

void device_space_all_widths(Lab& lab) {
    if (!lab.up() || lab.device.parts.device == 0)
        return;
    const u64 length = lab.device.parts.device_length;
    for (const unsigned width : kWidths)
        for (u64 offset = 0; offset < length; ++offset)
            static_cast<void>(read_of(width, lab.device.parts.device + offset));
    lab.works();
}

// All that was there before is there after; a field that a driver may write is put back.
void device_space_written(Lab& lab) {
    if (!lab.up())
        return;
    const u64 at = lab.device.parts.device;
    const u64 length = lab.device.parts.device_length;
    const u64 first = length == 0 ? 0 : read32(at);
    for (const unsigned width : kWidths)
        for (u64 offset = 0; offset < length; ++offset)
            write_of(width, at + offset, ~u64{0});
    lab.expect(length == 0 ? 0 : read32(at), first, "the first field is");
    lab.works();
}

void device_space_before_features(Lab& lab) {
    if (!lab.expect(lab.device.reset(), "the reset does not end"))
        return;
    const u64 length = lab.device.parts.device_length;
    for (u64 offset = 0; offset < length; ++offset) {
        static_cast<void>(read8(lab.device.parts.device + offset));
        write8(lab.device.parts.device + offset, 0xff);
    }
}

void device_space_during_reset(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(lab.request());
    lab.device.set8(reg::kStatus, 0);
    const u64 length = lab.device.parts.device_length;
    for (u64 offset = 0; offset < length; ++offset)
        write8(lab.device.parts.device + offset, 0xff);
}

constexpr Case kCases[] = {
    {3, "queue_select_one_too_many", kBoth, nullptr, one_too_many},
    {3, "queue_select_8000", kBoth, nullptr, selects_8000},
    {3, "queue_select_ffff", kBoth, nullptr, selects_ffff},
    {3, "all_registers_after_reset", kNoRing, nullptr, all_after_reset},
    {3, "all_registers_after_features_ok", kNoRing, nullptr, all_after_features_ok},
    {1, "all_registers_while_running", kBoth, nullptr, all_while_running},
    {1, "all_registers_after_failed", kBoth, nullptr, all_after_failed},
    {10, "all_registers_during_reset", kBoth, nullptr, all_during_reset},
    {1, "all_registers_when_it_needs_reset", kBoth, nullptr, all_when_it_needs_reset},
    {1, "read_only_registers", kNoRing, nullptr, read_only_registers},
    {27, "registers_of_wrong_width", kNoRing, nullptr, wrong_widths},
    {27, "holes_of_the_bar", kNoRing, nullptr, holes_of_the_bar},
    {27, "isr_of_all_widths", kNoRing, nullptr, isr_of_all_widths},
    {19, "device_space_beyond_its_end", kNoRing, nullptr, device_space_beyond_its_end},
    {19, "device_space_all_widths", kNoRing, nullptr, device_space_all_widths},
    {19, "device_space_written", kNoRing, nullptr, device_space_written},
    {19, "device_space_before_features", kNoRing, nullptr, device_space_before_features},
    {19, "device_space_during_reset", kNoRing, nullptr, device_space_during_reset},
};

}  // namespace

Cases register_cases() {
    return cases(kCases);
}

}  // namespace guest
