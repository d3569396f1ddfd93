// SPDX-License-Identifier: Apache-2.0
// MSI-X: vectors that are none, the table and its pending bits, masks that flip, odd messages.
//
// Each message that is waited for is one that was not waited for before: platform.hpp.
#include "lab.hpp"
#include "platform.hpp"

namespace guest {
namespace {

constexpr unsigned kWidths[] = {1, 2, 4, 8};
constexpr u16 kEnable = 1U << 15;
constexpr u16 kFunctionMask = 1U << 14;
constexpr u16 kNoVector = 0xffff;
constexpr u64 kEntry = 16;
constexpr unsigned kStorm = 12;

void control(Lab& lab, u16 value) {
    lab.device.function.set16(lab.device.parts.msix + 2, value);
}

struct Message {
    u64 address = kMessageAddress;
    u32 data = 0;
};

void put_entry(Lab& lab, unsigned entry, const Message& message, u32 vector_control) {
    const u64 at = lab.device.parts.table + entry * kEntry;
    write32(at, static_cast<u32>(message.address));
    write32(at + 4, static_cast<u32>(message.address >> 32));
    write32(at + 8, message.data);
    write32(at + 12, vector_control);
}

void set_mask(Lab& lab, unsigned entry, bool masked) {
    write32(lab.device.parts.table + entry * kEntry + 12, masked ? 1 : 0);
}

u32 fresh_message(Lab& lab) {
    return fresh_message(lab.device.function);
}

bool expect_arrival(Lab& lab, u32 data) {
    for (const Deadline late; !arrived(lab.device.function, data);)
        if (late.over())
            return lab.fail("the message does not arrive");
    return true;
}

// Up, with the ring's interrupts on table entry 1.
bool up_with_messages(Lab& lab) {
    if (!lab.up())
        return false;
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueVector, 1);
    control(lab, kEnable);
    return lab.expect(lab.device.get16(reg::kQueueVector), 1, "the queue's vector is");
}

// ---- vectors that are none: row 3 and 24

void vector_is_refused(Lab& lab, u16 vector) {
    if (!lab.up())
        return;
    lab.device.select(lab.queue());
    lab.device.set16(reg::kQueueVector, vector);
    lab.expect(lab.device.get16(reg::kQueueVector), kNoVector, "the queue's vector is");
    lab.device.set16(reg::kConfigVector, vector);
    lab.expect(lab.device.get16(reg::kConfigVector), kNoVector, "the configuration's vector is");
    control(lab, kEnable);
    lab.works();
}
void one_too_many(Lab& lab) {
    vector_is_refused(lab, static_cast<u16>(lab.device.parts.vectors));
}
void vector_7ff(Lab& lab) {
    vector_is_refused(lab, 0x7ff);
}
void vector_fffe(Lab& lab) {
    vector_is_refused(lab, 0xfffe);
}

void vector_of_no_queue(Lab& lab) {
    if (!lab.up())
        return;
    for (const u16 queue : {lab.device.get16(reg::kNumQueues), u16{0x7fff}, u16{0xffff}}) {
        lab.device.select(queue);
        lab.device.set16(reg::kQueueVector, 0);
        lab.expect(lab.device.get16(reg::kQueueVector), kNoVector, "the vector of no queue is");
    }
    lab.works();
}

void vector_changed_with_io_in_flight(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    put_entry(lab, 0, {.data = fresh_message(lab)}, 0);
    put_entry(lab, 1, {.data = fresh_message(lab)}, 0);
    for (unsigned i = 0; i < kStorm; ++i) {
        lab.submit(lab.request());
        lab.device.select(lab.queue());
        lab.device.set16(reg::kQueueVector, i % 3 == 0 ? kNoVector : i % 2);
        if (!lab.expect_used())
            return;
    }
    lab.device.set16(reg::kQueueVector, 1);
    messages_still_come(lab);
}

// ---- the table

void table_of_all_widths(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    const u64 table = lab.device.parts.table;
    for (const unsigned width : kWidths)
        for (u64 offset = 0; offset < 2 * kEntry; ++offset) {
            static_cast<void>(read_of(width, table + offset));
            if (width < 4 || offset % width != 0)
                write_of(width, table + offset, ~u64{0});
        }
    messages_still_come(lab);
}

void table_beyond_its_end(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    const u64 end = lab.device.parts.table + lab.device.parts.vectors * kEntry;
    for (const unsigned width : kWidths)
        for (u64 at = end - 8; at < end + 64; ++at) {
            static_cast<void>(read_of(width, at));
            if (at >= end || at + width > end)
                write_of(width, at, ~u64{0});
        }
    messages_still_come(lab);
}

void table_all_ones(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    for (unsigned entry = 0; entry < lab.device.parts.vectors; ++entry)
        put_entry(lab, entry, {.address = ~u64{0}, .data = ~u32{0}}, ~u32{0});
    if (!lab.works())
        return;
    messages_still_come(lab);
}

void table_never_written(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    put_entry(lab, 1, {.address = 0, .data = 0}, 0);
    if (lab.works())
        messages_still_come(lab);
}

void table_written_while_unmasked(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    for (unsigned i = 0; i < kStorm; ++i) {
        lab.submit(lab.request());
        put_entry(lab, 1, {.data = 0x20 + i % 16}, 0);
        if (!lab.expect_used())
            return;
    }
    messages_still_come(lab);
}

// ---- pending bits

void pending_bits_written(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    const u64 pending = lab.device.parts.pending;
    for (const unsigned width : kWidths)
        for (u64 offset = 0; offset < 16; ++offset) {
            write_of(width, pending + offset, ~u64{0});
            static_cast<void>(read_of(width, pending + offset));
        }
    lab.expect(read32(pending), 0, "the pending bits are");
    messages_still_come(lab);
}

void masked_message_waits(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    const u32 data = fresh_message(lab);
    put_entry(lab, 1, {.data = data}, 1);
    if (!lab.works())
        return;
    for (const Deadline late; (read32(lab.device.parts.pending) & 2) == 0;)
        if (late.over()) {
            lab.fail("a masked message is not pending");
            return;
        }
    lab.expect(!arrived(lab.device.function, data), "a masked message arrived");
    set_mask(lab, 1, false);
    if (expect_arrival(lab, data))
        lab.expect(read32(lab.device.parts.pending), 0, "the pending bits are");
}

// ---- masks that flip

void mask_storm(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    put_entry(lab, 1, {.data = fresh_message(lab)}, 1);
    for (unsigned i = 0; i < kStorm; ++i) {
        lab.submit(lab.request());
        for (unsigned k = 0; k < 4; ++k)
            set_mask(lab, 1, k % 2 == 0);
        if (!lab.expect_used())
            return;
    }
    messages_still_come(lab);
}

void control_storm(Lab& lab, u16 one, u16 other) {
    if (!up_with_messages(lab))
        return;
    put_entry(lab, 1, {.data = fresh_message(lab)}, 0);
    for (unsigned i = 0; i < kStorm; ++i) {
        lab.submit(lab.request());
        control(lab, one);
        control(lab, other);
        if (!lab.expect_used())
            return;
    }
    messages_still_come(lab);
}
void function_mask_storm(Lab& lab) {
    control_storm(lab, kEnable | kFunctionMask, kEnable);
}
void enable_storm(Lab& lab) {
    control_storm(lab, 0, kEnable);
}

void control_of_odd_widths(Lab& lab) {
    if (!up_with_messages(lab))
        return;
    const Function& function = lab.device.function;
    const u64 at = function.at(lab.device.parts.msix);
    const u16 size = function.get16(lab.device.parts.msix + 2) & 0x7ff;
    write8(at + 2, 0xff);
    write8(at + 3, 0xff);
    write32(at, 0xffff'ffff);
    write32(at + 4, 0xffff'ffff);
    write32(at + 8, 0xffff'ffff);
    lab.expect(function.get16(lab.device.parts.msix + 2) & 0x7ffU, size, "the table's size is");
    messages_still_come(lab);
}

// ---- messages to nowhere

void message_to(Lab& lab, u64 address, u32 data) {
    if (!up_with_messages(lab))
        return;
    put_entry(lab, 1, {.address = address, .data = data}, 0);
    if (lab.works())
        messages_still_come(lab);
}
void message_to_ram(Lab& lab) {
    constexpr u64 kSomewhere = kSpareRam;
    write32(kSomewhere, 0x1234'5678);
    message_to(lab, kSomewhere, 0xffff);
    lab.expect(read32(kSomewhere), 0x1234'5678, "RAM at the message's address is");
}
void message_to_a_bar(Lab& lab) {
    message_to(lab, lab.device.function.bar(), 0x21);
}
void message_above_4_gib(Lab& lab) {
    message_to(lab, u64{1} << 40 | kMessageAddress, 0x21);
}
void message_to_no_cpu(Lab& lab) {
    message_to(lab, kMessageAddress | 0x55U << 12, 0x21);
}
void message_of_vector_0(Lab& lab) {
    message_to(lab, kMessageAddress, 0);
}
void message_with_reserved_bits(Lab& lab) {
    message_to(lab, kMessageAddress | 0xff0, 0xffff'0321);
}

constexpr Case kCases[] = {
    {24, "vector_one_too_many", kNoRing, nullptr, one_too_many},
    {24, "vector_7ff", kNoRing, nullptr, vector_7ff},
    {24, "vector_fffe", kNoRing, nullptr, vector_fffe},
    {3, "vector_of_no_queue", kNoRing, nullptr, vector_of_no_queue},
    {24, "vector_changed_with_io_in_flight", kNoRing, nullptr, vector_changed_with_io_in_flight},
    {24, "table_of_all_widths", kNoRing, nullptr, table_of_all_widths},
    {24, "table_beyond_its_end", kNoRing, nullptr, table_beyond_its_end},
    {24, "table_all_ones", kNoRing, nullptr, table_all_ones},
    {24, "table_never_written", kNoRing, nullptr, table_never_written},
    {24, "table_written_while_unmasked", kNoRing, nullptr, table_written_while_unmasked},
    {24, "pending_bits_written", kNoRing, nullptr, pending_bits_written},
    {24, "masked_message_waits", kBoth, nullptr, masked_message_waits},
    {24, "mask_storm", kBoth, nullptr, mask_storm},
    {24, "function_mask_storm", kNoRing, nullptr, function_mask_storm},
    {24, "enable_storm", kNoRing, nullptr, enable_storm},
    {24, "control_of_odd_widths", kNoRing, nullptr, control_of_odd_widths},
    {24, "message_to_ram", kNoRing, nullptr, message_to_ram},
    {24, "message_to_a_bar", kNoRing, nullptr, message_to_a_bar},
    {24, "message_above_4_gib", kNoRing, nullptr, message_above_4_gib},
    {24, "message_to_no_cpu", kNoRing, nullptr, message_to_no_cpu},
    {24, "message_of_vector_0", kNoRing, nullptr, message_of_vector_0},
    {24, "message_with_reserved_bits", kNoRing, nullptr, message_with_reserved_bits},
};

}  // namespace

void messages_still_come(Lab& lab) {
    const u32 data = fresh_message(lab);
    control(lab, kEnable);
    set_mask(lab, 1, true);
    put_entry(lab, 1, {.data = data}, 0);
    if (lab.works())
        expect_arrival(lab, data);
}

Cases message_cases() {
    return cases(kCases);
}

}  // namespace guest
