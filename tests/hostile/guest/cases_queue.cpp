// SPDX-License-Identifier: Apache-2.0
// The registers of queues: sizes, freezing, enabling, resetting one queue, kicks.
#include "lab.hpp"

namespace guest {
namespace {

// ---- size: rows 1, 2, 4

// Between FEATURES_OK and DRIVER_OK; what is refused leaves the register as it was.
void size_is_refused(Lab& lab, u16 size) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.device.select(lab.queue());
    const u16 before = lab.device.get16(reg::kQueueSize);
    lab.device.set16(reg::kQueueSize, size);
    lab.expect(lab.device.get16(reg::kQueueSize), before, "the queue size is");
}
void size_zero(Lab& lab) {
    size_is_refused(lab, 0);
}
void size_3(Lab& lab) {
    size_is_refused(lab, 3);
}
void size_8000(Lab& lab) {
    size_is_refused(lab, 0x8000);
}
void size_ffff(Lab& lab) {
    size_is_refused(lab, 0xffff);
}
void size_above_the_maximum(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.device.select(lab.queue());
    size_is_refused(lab, static_cast<u16>(lab.device.get16(reg::kQueueSize) * 2));
}

// Wider than the register, so that 0x10000 could become 0, then `% 0`.
void size_of_32_bits(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.device.select(lab.queue());
    const u16 before = lab.device.get16(reg::kQueueSize);
    lab.device.set32(reg::kQueueSize, 0x10000);
    lab.device.set32(reg::kQueueSize, 0xffff0000);
    lab.expect(lab.device.get16(reg::kQueueSize), before, "the queue size is");
}

// Chosen while packed rings were accepted, used when they are not any more.
void odd_size_for_a_split_ring(Lab& lab) {
    if (!lab.expect(lab.device.reset(), "the reset does not end"))
        return;
    lab.device.set8(reg::kStatus, status::kAcknowledge | status::kDriver);
    lab.device.accept(lab.features() | kRingPacked);
    lab.ring().clear(RingKind::Split, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.set16(reg::kQueueSize, 5);
    lab.device.accept(lab.features());
    lab.device.add_status(status::kFeaturesOk);
    lab.device.enable(lab.queue());
    lab.device.drive();
    const bool fell = lab.device.needs_reset();
    lab.device.select(lab.queue());
    lab.expect(fell || lab.device.get16(reg::kQueueSize) != 5, "a split ring of 5 runs");
}

// ---- frozen: row 1

struct Kept {
    u16 size;
    u64 descriptors;
    u64 driver;
    u64 device;
};
Kept registers_of(Lab& lab) {
    lab.device.select(lab.queue());
    return {lab.device.get16(reg::kQueueSize), lab.device.address(reg::kQueueDescriptors),
            lab.device.address(reg::kQueueDriver), lab.device.address(reg::kQueueDevice)};
}

void write_over(Lab& lab) {
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueSize, 2);
    lab.device.set_address(reg::kQueueDescriptors, lab.ram.end);
    lab.device.set_address(reg::kQueueDriver, lab.ram.end);
    lab.device.set_address(reg::kQueueDevice, ~u64{15});
    lab.device.set16(reg::kQueueEnable, 0);
    lab.device.set16(reg::kQueueEnable, 0xffff);
}

void still_the_same(Lab& lab, const Kept& before) {
    const Kept now = registers_of(lab);
    lab.expect(now.size, before.size, "the queue size is");
    lab.expect(now.descriptors, before.descriptors, "the descriptor area is at");
    lab.expect(now.driver, before.driver, "the driver area is at");
    lab.expect(now.device, before.device, "the device area is at");
    lab.expect(lab.device.get16(reg::kQueueEnable), 1, "queue_enable is");
}

void frozen_after_driver_ok(Lab& lab) {
    if (!lab.up() || !lab.works())
        return;
    const Kept before = registers_of(lab);
    write_over(lab);
    still_the_same(lab, before);
    lab.works();
}

void frozen_once_enabled(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.enable(lab.queue());
    const Kept before = registers_of(lab);
    write_over(lab);
    still_the_same(lab, before);
}

void written_with_io_in_flight(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 8; ++i) {
        lab.submit(lab.request());
        write_over(lab);
        if (!lab.expect_used())
            return;
    }
}

void not_writable_after_failed(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    const Kept before = registers_of(lab);
    lab.device.add_status(status::kFailed);
    write_over(lab);
    const Kept now = registers_of(lab);
    lab.expect(now.size, before.size, "the queue size is");
    lab.expect(now.descriptors, before.descriptors, "the descriptor area is at");
}

// ---- enabling

void enabled_before_features_ok(Lab& lab) {
    if (!lab.expect(lab.device.reset(), "the reset does not end"))
        return;
    lab.device.set8(reg::kStatus, status::kAcknowledge | status::kDriver);
    lab.device.enable(lab.queue());
    lab.expect(lab.device.get16(reg::kQueueEnable), 0, "queue_enable before FEATURES_OK is");
}

void enabled_after_driver_ok(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.device.drive();
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.enable(lab.queue());
    lab.submit(lab.request());
    lab.expect(lab.device.get16(reg::kQueueEnable), 0, "queue_enable after DRIVER_OK is");
}

void enabled_with_odd_values(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    for (const u16 value : {u16{2}, u16{0x101}, u16{0xffff}, u16{0}})
        lab.device.set16(reg::kQueueEnable, value);
    lab.expect(lab.device.get16(reg::kQueueEnable), 0, "queue_enable is");
}

// Not one queue is there.
void runs_without_queues(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.device.drive();
    for (unsigned i = 0; i < 8; ++i)
        lab.kick();
}

// ---- one queue's reset

bool reset_queue(Lab& lab) {
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueReset, 1);
    for (const Deadline late; lab.device.get16(reg::kQueueReset) != 0;)
        if (late.over())
            return lab.fail("the queue's reset does not end");
    return true;
}

bool start_queue(Lab& lab) {
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.enable(lab.queue());
    return lab.works();
}

void queue_reset_in_flight(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 8; ++i) {
        lab.submit(lab.request());
        if (!reset_queue(lab) || !start_queue(lab))
            return;
    }
}

void queue_reset_registers_meanwhile(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(lab.request());
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueReset, 1);
    write_over(lab);
    lab.kick();
    lab.device.set16(reg::kQueueReset, 1);
    lab.device.set16(reg::kQueueReset, 0);
    if (reset_queue(lab))
        start_queue(lab);
}

void queue_reset_then_device_reset(Lab& lab) {
    for (unsigned i = 0; i < 5; ++i) {
        if (!lab.up())
            return;
        lab.submit(lab.request());
        lab.device.select(lab.queue());
        lab.device.set16(reg::kQueueReset, 1);
        if (!lab.expect(lab.device.reset(), "the reset does not end"))
            return;
    }
}

void queue_reset_not_accepted(Lab& lab) {
    if (!lab.up_with(lab.features() & ~kRingReset))
        return;
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueReset, 1);
    lab.expect(lab.device.get16(reg::kQueueReset), 0, "queue_reset is");
    lab.works();
}

void queue_reset_of_no_queue(Lab& lab) {
    if (!lab.up())
        return;
    for (const u16 queue : {lab.device.get16(reg::kNumQueues), u16{0x7fff}, u16{0xffff}}) {
        lab.device.select(queue);
        lab.device.set16(reg::kQueueReset, 1);
        lab.expect(lab.device.get16(reg::kQueueReset), 0, "queue_reset of no queue is");
    }
    lab.works();
}

void enabled_again_at_bad_address(Lab& lab) {
    if (!lab.up() || !reset_queue(lab))
        return;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.set_address(reg::kQueueDescriptors, lab.ram.end);
    lab.device.enable(lab.queue());
    lab.expect_needs_reset();
}

// ---- kicks

void kick_before_driver_ok(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.ring().offer(lab.request());
    lab.kick();
    lab.device.enable(lab.queue());
    lab.kick();
    Used used;
    lab.expect(!lab.ring().take_used(used), "it worked before DRIVER_OK");
}

void kick_while_reset(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(lab.request());
    lab.device.set8(reg::kStatus, 0);
    for (unsigned i = 0; i < 50; ++i)
        lab.kick();
}

void kick_of_no_queue(Lab& lab) {
    if (!lab.up())
        return;
    const u64 end = lab.device.parts.notify + 0x1000;
    for (u64 at = lab.device.parts.notify + lab.device.parts.notify_length; at < end; at += 252)
        write16(at, static_cast<u16>(at));
    lab.works();
}

void kick_with_another_queues_number(Lab& lab) {
    if (!lab.up())
        return;
    lab.ring().offer(lab.request());
    write16(lab.device.doorbell(lab.queue()), 0xffff);
    if (lab.expect_used())
        lab.works();
}

void kick_of_odd_widths(Lab& lab) {
    if (!lab.up())
        return;
    const u64 at = lab.device.doorbell(lab.queue());
    for (const unsigned width : {1U, 2U, 4U, 8U})
        for (u64 offset = 0; offset < 5; ++offset)
            write_of(width, at + offset, ~u64{0});
    // Over both ends of the page.
    write64(lab.device.parts.notify - 4, ~u64{0});
    write64(lab.device.parts.notify + 0xffc, ~u64{0});
    lab.works();
}

void doorbell_read(Lab& lab) {
    if (!lab.up())
        return;
    for (const unsigned width : {1U, 2U, 4U, 8U})
        static_cast<void>(read_of(width, lab.device.doorbell(lab.queue())));
    lab.works();
}

constexpr Case kCases[] = {
    {1, "frozen_after_driver_ok", kBoth, nullptr, frozen_after_driver_ok},
    {1, "frozen_once_enabled", kBoth, nullptr, frozen_once_enabled},
    {1, "queue_registers_written_with_io_in_flight", kBoth, nullptr, written_with_io_in_flight},
    {1, "queue_registers_after_failed", kBoth, nullptr, not_writable_after_failed},
    {1, "queue_enabled_before_features_ok", kBoth, nullptr, enabled_before_features_ok},
    {1, "queue_enabled_after_driver_ok", kBoth, nullptr, enabled_after_driver_ok},
    {1, "queue_enabled_with_odd_values", kBoth, nullptr, enabled_with_odd_values},
    {1, "runs_without_queues", kBoth, nullptr, runs_without_queues},
    {2, "size_zero", kBoth, nullptr, size_zero},
    {2, "size_above_the_maximum", kBoth, nullptr, size_above_the_maximum},
    {2, "size_no_power_of_two", kSplit, nullptr, size_3},
    {2, "size_8000", kBoth, nullptr, size_8000},
    {2, "size_ffff", kBoth, nullptr, size_ffff},
    {4, "size_of_32_bits", kBoth, nullptr, size_of_32_bits},
    {4, "odd_size_chosen_for_a_packed_ring", kSplit, nullptr, odd_size_for_a_split_ring},
    {10, "queue_reset_in_flight", kBoth, nullptr, queue_reset_in_flight},
    {10, "queue_reset_and_registers_meanwhile", kBoth, nullptr, queue_reset_registers_meanwhile},
    {10, "queue_reset_then_device_reset", kBoth, nullptr, queue_reset_then_device_reset},
    {20, "queue_reset_not_accepted", kBoth, nullptr, queue_reset_not_accepted},
    {3, "queue_reset_of_no_queue", kBoth, nullptr, queue_reset_of_no_queue},
    {7, "queue_enabled_again_behind_ram", kBoth, nullptr, enabled_again_at_bad_address},
    {16, "kick_before_driver_ok", kBoth, nullptr, kick_before_driver_ok},
    {16, "kick_during_reset", kBoth, nullptr, kick_while_reset},
    {3, "kick_of_no_queue", kBoth, nullptr, kick_of_no_queue},
    {3, "kick_with_another_queues_number", kBoth, nullptr, kick_with_another_queues_number},
    {27, "kick_of_odd_widths", kBoth, nullptr, kick_of_odd_widths},
    {27, "doorbell_read", kBoth, nullptr, doorbell_read},
};

}  // namespace

Cases queue_cases() {
    return cases(kCases);
}

}  // namespace guest
