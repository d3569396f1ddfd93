// SPDX-License-Identifier: Apache-2.0
// Descriptor chains: loops, ways out of the ring, order, lengths, addresses.
#include "lab.hpp"

namespace guest {
namespace {

constexpr u64 kTop = ~u64{0};

// The chain comes back untouched, and the ring goes on.
void refused(Lab& lab, const Chain& chain) {
    lab.submit(chain);
    if (lab.expect_used(0))
        lab.works();
}

// The chain comes back, whatever the device made of it, and the ring goes on.
void survived(Lab& lab, const Chain& chain) {
    lab.submit(chain);
    if (lab.expect_used())
        lab.works();
}

// A good request but for where its bulk lies.
void with_data_at(Lab& lab, u64 at, u32 length) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[lab.kind->data].at = at;
    chain.d[lab.kind->data].length = length;
    survived(lab, chain);
}

// ---- the way through the table

void loops_to_itself(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.last().flags |= kNext;
    chain.last().next = static_cast<u16>(chain.count - 1);
    refused(lab, chain);
}

void two_loop(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request().cut(0, 1);
    chain.last().flags |= kNext;
    chain.last().next = static_cast<u16>(chain.count - 2);
    refused(lab, chain);
}

void loops_to_its_head(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.last().flags |= kNext;
    chain.last().next = 0;
    refused(lab, chain);
}

void next_is_the_queue_size(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[0].flags |= kNext;
    chain.d[0].next = lab.ring().size();
    refused(lab, chain);
}

void next_is_ffff(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[0].flags |= kNext;
    chain.d[0].next = 0xffff;
    refused(lab, chain);
}

// All places of a packed ring say that another one follows.
void never_ends(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    for (u16 i = 0; i < lab.ring().size(); ++i)
        chain.add(buffers.header, 1);
    chain.link();
    chain.last().flags |= kNext;
    lab.submit(chain);
    lab.expect_needs_reset();
}

// As long as the ring, which is allowed: the off by one is to refuse it.
void as_long_as_the_ring(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    for (u16 i = 0; i < lab.ring().size(); ++i)
        chain.add(buffers.data + 16 * i, 16, kWrite);
    chain.link();
    survived(lab, chain);
}

// ---- what a descriptor says

void writable_before_readable(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    chain.add(buffers.data, 512, kWrite)
        .add(buffers.header, 16)
        .add(buffers.other, 1, kWrite)
        .link();
    refused(lab, chain);
}

void reserved_flags(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    // Of those that mean nothing in either kind of ring.
    for (u16 i = 0; i < chain.count; ++i)
        chain.d[i].flags |= 0x7f78;
    survived(lab, chain);
}

void length_zero(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[lab.kind->data].length = 0;
    survived(lab, chain);
}

void all_lengths_zero(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    for (u16 i = 0; i < chain.count; ++i)
        chain.d[i].length = 0;
    refused(lab, chain);
}

void length_zero_at_no_address(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.cut(lab.kind->data, 0);
    chain.d[lab.kind->data].at = kTop;
    lab.submit(chain);
    // "A device MUST NOT" look at it; the rest of the request is as good as ever.
    if (lab.expect_used() && lab.expect(lab.kind->answered(lab.last), "an empty buffer mattered"))
        lab.works();
}

void length_ffffffff(Lab& lab) {
    if (!lab.kind->streams) {
        with_data_at(lab, address_of(buffers.data), 0xffff'ffff);
        return;
    }
    // It may be at that for long; the reset that follows ends it.
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[lab.kind->data].length = 0xffff'ffff;
    lab.busy = true;
    lab.submit(chain);
}

void total_over_4_gib(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    const u16 flags = lab.request().d[lab.kind->data].flags & kWrite;
    for (unsigned i = 0; i < 3; ++i)
        chain.add(buffers.data, 0xffff'ffff, flags);
    refused(lab, chain.link());
}

// 2^32 bytes and a little: what is left of the sum in 32 bits is small.
void total_wraps_32_bits(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    const u16 data = lab.kind->data;
    const Descriptor half{
        .at = chain.d[data].at, .length = 0x8000'0000, .flags = chain.d[data].flags};
    chain.cut(data, 0).cut(data, 0);
    chain.d[data] = half;
    chain.d[data + 1] = half;
    refused(lab, chain.link());
}

// ---- where it points

void address_behind_ram(Lab& lab) {
    with_data_at(lab, lab.ram.end, 512);
}
void address_far_out(Lab& lab) {
    with_data_at(lab, u64{1} << 52, 512);
}
void address_wraps(Lab& lab) {
    with_data_at(lab, kTop - 255, 512);
}
void address_ends_at_the_top(Lab& lab) {
    with_data_at(lab, kTop - 511, 512);
}
void crosses_the_end_of_ram(Lab& lab) {
    with_data_at(lab, lab.ram.end - 511, 512);
}
void crosses_into_the_hole(Lab& lab) {
    with_data_at(lab, lab.ram.low_end - 511, 512);
}
void crosses_the_whole_hole(Lab& lab) {
    with_data_at(lab, lab.ram.low_end - 4096, (u32{1} << 30) + 8192);
}
void starts_in_the_hole(Lab& lab) {
    with_data_at(lab, (u64{1} << 32) - 1, 512);
}
void in_its_own_bar(Lab& lab) {
    with_data_at(lab, lab.device.function.bar(), 512);
}
void at_its_own_doorbell(Lab& lab) {
    with_data_at(lab, lab.device.doorbell(lab.queue()), 512);
}
void in_configuration_space(Lab& lab) {
    with_data_at(lab, lab.device.function.at(0), 512);
}
void in_the_message_controller(Lab& lab) {
    with_data_at(lab, kMessageController, 512);
}
void in_the_pin_controller(Lab& lab) {
    with_data_at(lab, kPinController, 512);
}

// The last bytes of a stretch of RAM are RAM: the off by one is to refuse them.
void good_request_at(Lab& lab, u64 end) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    Descriptor& data = chain.d[lab.kind->data];
    for (u32 i = 0; i < data.length; ++i)
        write8(end - data.length + i, buffers.data[i]);
    data.at = end - data.length;
    lab.submit(chain);
    if (!lab.expect_used())
        return;
    for (u32 i = 0; i < data.length; ++i)
        buffers.data[i] = read8(end - data.length + i);
    if (lab.expect(lab.kind->answered(lab.last), "the last bytes of RAM did not do"))
        lab.works();
}
void last_bytes_of_low_ram(Lab& lab) {
    good_request_at(lab, lab.ram.low_end);
}
void last_bytes_of_ram(Lab& lab) {
    good_request_at(lab, lab.ram.end);
}

// The first descriptor, which most devices read a header from.
void head_outside_ram(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[0].at = lab.ram.end;
    survived(lab, chain);
}

// What a device writes there comes back as its next descriptors.
void buffer_is_the_ring_itself(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    chain.add_at(lab.ring().descriptors(), 64, kWrite)
        .add_at(lab.ring().device(), 4, kWrite)
        .link();
    lab.submit(chain);
    // Anything may be in the ring now; the judge only wants the device back.
}

constexpr Case kCases[] = {
    {5, "chain_loops_to_itself", kSplit, nullptr, loops_to_itself},
    {5, "chain_of_two_loops", kSplit, nullptr, two_loop},
    {6, "chain_loops_to_its_head", kSplit, nullptr, loops_to_its_head},
    {5, "next_is_the_queue_size", kSplit, nullptr, next_is_the_queue_size},
    {5, "next_is_ffff", kSplit, nullptr, next_is_ffff},
    {5, "chain_never_ends", kPacked, nullptr, never_ends},
    {5, "chain_as_long_as_the_ring", kBoth, nullptr, as_long_as_the_ring},
    {11, "writable_before_readable", kBoth, nullptr, writable_before_readable},
    {11, "reserved_descriptor_flags", kBoth, nullptr, reserved_flags},
    {9, "length_zero", kBoth, nullptr, length_zero},
    {9, "all_lengths_zero", kBoth, nullptr, all_lengths_zero},
    {9, "length_zero_at_no_address", kBoth, nullptr, length_zero_at_no_address},
    {17, "length_ffffffff", kBoth, nullptr, length_ffffffff},
    {6, "total_over_4_gib", kBoth, nullptr, total_over_4_gib},
    {6, "total_wraps_32_bits", kBoth, nullptr, total_wraps_32_bits},
    {7, "address_behind_ram", kBoth, nullptr, address_behind_ram},
    {7, "address_far_out", kBoth, nullptr, address_far_out},
    {7, "address_wraps", kBoth, nullptr, address_wraps},
    {7, "address_ends_at_the_top", kBoth, nullptr, address_ends_at_the_top},
    {7, "crosses_the_end_of_ram", kBoth, nullptr, crosses_the_end_of_ram},
    {7, "crosses_into_the_hole", kBoth, nullptr, crosses_into_the_hole},
    {7, "crosses_the_whole_hole", kBoth, nullptr, crosses_the_whole_hole},
    {7, "starts_in_the_hole", kBoth, nullptr, starts_in_the_hole},
    {7, "last_bytes_of_low_ram", kBoth, nullptr, last_bytes_of_low_ram},
    {7, "last_bytes_of_ram", kBoth, nullptr, last_bytes_of_ram},
    {7, "head_outside_ram", kBoth, nullptr, head_outside_ram},
    {36, "in_its_own_bar", kBoth, nullptr, in_its_own_bar},
    {36, "at_its_own_doorbell", kBoth, nullptr, at_its_own_doorbell},
    {36, "in_configuration_space", kBoth, nullptr, in_configuration_space},
    {36, "in_the_message_controller", kBoth, nullptr, in_the_message_controller},
    {36, "in_the_pin_controller", kBoth, nullptr, in_the_pin_controller},
    {36, "buffer_is_the_ring_itself", kBoth, nullptr, buffer_is_the_ring_itself},
};

}  // namespace

Cases chain_cases() {
    return cases(kCases);
}

}  // namespace guest
