// SPDX-License-Identifier: Apache-2.0
// The entropy device, and the console: streams without a header, where only memory can be wrong.
//
// Spec: virtio 1.3, 5.4 and 5.3.
#include "lab.hpp"

namespace guest {
namespace {

void offer_many(Lab& lab, const Chain& one, unsigned turns) {
    for (unsigned turn = 0; turn < turns; ++turn) {
        for (u16 id = 0; id < lab.ring().size(); ++id)
            lab.ring().offer(one, id);
        lab.kick();
        for (u16 i = 0; i < lab.ring().size(); ++i)
            if (!lab.expect_used())
                return;
    }
}

// ---- entropy

void nothing_writable(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    lab.submit(chain.add(buffers.data, 64));
    if (lab.expect_used(0))
        lab.works();
}

// Bounded: less than was asked for is an answer too.
void more_than_anybody_needs(Lab& lab) {
    if (!lab.up())
        return;
    constexpr u32 kMuch = 256U << 20;
    constexpr u64 kSomewhere = kSpareRam;
    Chain chain;
    lab.submit(chain.add_at(kSomewhere, kMuch, kWrite));
    if (lab.expect_used() && lab.expect(lab.last.length <= kMuch, "more came than was asked for"))
        lab.works();
}

void readable_comes_first(Lab& lab) {
    if (!lab.up())
        return;
    buffers.header[0] = 0x5a;
    Chain chain;
    lab.submit(chain.add(buffers.header, 16).add(buffers.data, 64, kWrite).link());
    if (lab.expect_used() && lab.expect(buffers.header[0], 0x5a, "memory of the driver's is now"))
        lab.works();
}

void in_pieces_of_one_byte(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    for (u16 i = 0; i < lab.ring().size(); ++i)
        chain.add(buffers.data + i * 3, 1, kWrite);
    buffers.data[1] = 0x5a;
    lab.submit(chain.link());
    if (lab.expect_used() && lab.expect(buffers.data[1], 0x5a, "the byte between two pieces is"))
        lab.works();
}

void good_piece_then_bad_piece(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    lab.submit(chain.add(buffers.data, 64, kWrite).add_at(lab.ram.end, 64, kWrite).link());
    // What it says it wrote it can have written.
    if (lab.expect_used() && lab.expect(lab.last.length <= 64, "bytes were written to nowhere"))
        lab.works();
}

void entropy_flood(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    offer_many(lab, chain.add(buffers.data, 4096, kWrite), 20);
    lab.works();
}

// ---- console

constexpr u16 kInput = 0;
constexpr u64 kEmergency = 8;  // offset of emerg_wr

void input_buffers(Lab& lab, u64 at, u32 bytes, u16 flags) {
    if (!lab.up())
        return;
    lab.use(kInput);
    Chain chain;
    chain.add_at(at, bytes, flags);
    for (u16 id = 0; id < lab.ring().size(); ++id)
        lab.ring().offer(chain, id);
    lab.kick();
    lab.works();
}
void input_buffers_read_only(Lab& lab) {
    input_buffers(lab, address_of(buffers.data), 64, 0);
}
void input_buffers_of_nothing(Lab& lab) {
    input_buffers(lab, address_of(buffers.data), 0, kWrite);
}
void input_buffers_behind_ram(Lab& lab) {
    input_buffers(lab, lab.ram.end, 64, kWrite);
}
void input_ring_broken(Lab& lab) {
    if (!lab.up())
        return;
    lab.use(kInput);
    if (lab.packed())
        for (u16 i = 0; i < lab.ring().size(); ++i)
            lab.ring().put_descriptor(i, {address_of(buffers.data), 1, kNext, kAvail | kNext});
    else
        lab.ring().set_available_index(0x8000);
    lab.kick();
    // Nobody types, so nobody looks at it; output goes on.
    lab.works();
}

void output_in_writable_memory(Lab& lab) {
    if (!lab.up())
        return;
    buffers.data[0] = 0x5a;
    Chain chain;
    lab.submit(chain.add(buffers.data, 64, kWrite));
    if (lab.expect_used() && lab.expect(buffers.data[0], 0x5a, "memory of the driver's is now"))
        lab.works();
}

void output_of_128_kib(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    lab.submit(chain.add(buffers.data, sizeof buffers.data));
    if (lab.expect_used())
        lab.works();
}

void output_flood(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    offer_many(lab, chain.add(buffers.data, 64), 20);
    lab.works();
}

void emergency_of_odd_widths(Lab& lab) {
    if (!lab.up())
        return;
    for (const unsigned width : {1U, 2U, 4U, 8U})
        for (u64 offset = kEmergency - 3; offset < kEmergency + 6; ++offset)
            write_of(width, lab.device.parts.device + offset, 0x2e2e'2e2e'2e2e'2e2e);
    lab.works();
}

void emergency_storm(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 300; ++i)
        write32(lab.device.parts.device + kEmergency, '.');
    lab.works();
}

void emergency_during_reset(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(lab.request());
    lab.device.set8(reg::kStatus, 0);
    write32(lab.device.parts.device + kEmergency, '.');
}

constexpr Case kCases[] = {
    {11, "nothing_writable", kBoth, "rng", nothing_writable},
    {17, "more_than_anybody_needs", kBoth, "rng", more_than_anybody_needs},
    {36, "readable_comes_first", kBoth, "rng", readable_comes_first},
    {11, "in_pieces_of_one_byte", kBoth, "rng", in_pieces_of_one_byte},
    {7, "good_piece_then_bad_piece", kBoth, "rng", good_piece_then_bad_piece},
    {16, "entropy_flood", kBoth, "rng", entropy_flood},
    {11, "input_buffers_read_only", kBoth, "console", input_buffers_read_only},
    {9, "input_buffers_of_nothing", kBoth, "console", input_buffers_of_nothing},
    {7, "input_buffers_behind_ram", kBoth, "console", input_buffers_behind_ram},
    {5, "input_ring_broken", kBoth, "console", input_ring_broken},
    {36, "output_in_writable_memory", kBoth, "console", output_in_writable_memory},
    {17, "output_of_128_kib", kBoth, "console", output_of_128_kib},
    {16, "output_flood", kBoth, "console", output_flood},
    {19, "emergency_write_of_odd_widths", kNoRing, "console", emergency_of_odd_widths},
    {16, "emergency_write_storm", kNoRing, "console", emergency_storm},
    {10, "emergency_write_during_reset", kBoth, "console", emergency_during_reset},
};

}  // namespace

Cases stream_cases() {
    return cases(kCases);
}

}  // namespace guest
