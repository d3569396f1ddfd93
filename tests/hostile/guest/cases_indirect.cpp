// SPDX-License-Identifier: Apache-2.0
// Indirect tables: nested, cut off, endless, not there.
#include "lab.hpp"

namespace guest {
namespace {

constexpr u32 kEntry = 16;  // bytes

u64 table_at(unsigned entry) {
    return address_of(buffers.table) + u64{entry} * kEntry;
}

// An entry of a table; in a packed ring's table `next` is not used, and flags are elsewhere.
void put_entry(Lab& lab, unsigned entry, const Descriptor& d) {
    write64(table_at(entry), d.at);
    write32(table_at(entry) + 8, d.length);
    if (lab.packed())
        write32(table_at(entry) + 12, u32{d.flags & ~u32{kNext}} << 16);
    else
        write32(table_at(entry) + 12, u32{d.next} << 16 | d.flags);
}

// A good request behind one descriptor.
Chain through_table(Lab& lab) {
    const Chain request = lab.request();
    for (u16 i = 0; i < request.count; ++i)
        put_entry(lab, i, request.d[i]);
    Chain chain;
    return chain.add(buffers.table, request.count * kEntry, kIndirect);
}

void refused(Lab& lab, const Chain& chain) {
    lab.submit(chain);
    if (lab.expect_used(0))
        lab.works();
}

void good_table(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(through_table(lab));
    if (lab.expect_used() && lab.expect(lab.kind->answered(lab.last), "a table did not do"))
        lab.works();
}

void table_in_a_table(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = through_table(lab);
    put_entry(lab, 0, {.at = table_at(0), .length = chain.d[0].length, .flags = kIndirect});
    refused(lab, chain);
}

void with_length(Lab& lab, u32 length) {
    if (!lab.up())
        return;
    Chain chain = through_table(lab);
    chain.d[0].length = length;
    refused(lab, chain);
}
void length_not_of_whole_entries(Lab& lab) {
    with_length(lab, 17);
}
void shorter_than_an_entry(Lab& lab) {
    with_length(lab, 8);
}
void length_zero(Lab& lab) {
    with_length(lab, 0);
}
void length_fffffff0(Lab& lab) {
    with_length(lab, 0xffff'fff0);
}

void at_address(Lab& lab, u64 at) {
    if (!lab.up())
        return;
    Chain chain = through_table(lab);
    chain.d[0].at = at;
    refused(lab, chain);
}
void behind_ram(Lab& lab) {
    at_address(lab, lab.ram.end);
}
void over_the_end_of_ram(Lab& lab) {
    at_address(lab, lab.ram.end - 8);
}
void into_the_hole(Lab& lab) {
    at_address(lab, lab.ram.low_end - 8);
}
void wraps(Lab& lab) {
    at_address(lab, ~u64{0} - 7);
}
void in_its_own_bar(Lab& lab) {
    at_address(lab, lab.device.function.bar());
}

void with_next(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = through_table(lab);
    chain.add(buffers.data, 16, kWrite).link();
    refused(lab, chain);
}

// A chain in a table that another descriptor comes before is fine: in a split ring only.
void after_a_plain_descriptor(Lab& lab) {
    if (!lab.up())
        return;
    const Chain request = lab.request();
    if (request.count < 2)
        return;
    for (u16 i = 1; i < request.count; ++i) {
        Descriptor d = request.d[i];
        d.next = i;
        put_entry(lab, i - 1U, d);
    }
    Chain chain;
    chain.add_at(request.d[0].at, request.d[0].length)
        .add(buffers.table, (request.count - 1U) * kEntry, kIndirect)
        .link();
    lab.submit(chain);
    if (lab.expect_used() && lab.expect(lab.kind->answered(lab.last), "a table did not do"))
        lab.works();
}

void feature_not_accepted(Lab& lab) {
    if (!lab.up_with(lab.features() & ~kIndirectFeature))
        return;
    refused(lab, through_table(lab));
}

void next_outside_the_table(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = through_table(lab);
    put_entry(lab, 0, {.at = address_of(buffers.header), .length = 16, .flags = kNext, .next = 40});
    refused(lab, chain);
}

void table_loops(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = through_table(lab);
    put_entry(lab, 0, {.at = address_of(buffers.header), .length = 1, .flags = kNext, .next = 0});
    refused(lab, chain);
}

// As many entries as fit, each of them one byte: bounded work, whatever comes of it.
void thousands_of_entries(Lab& lab) {
    if (!lab.up())
        return;
    constexpr u16 kMany = sizeof buffers.table / kEntry;
    for (u16 i = 0; i < kMany; ++i) {
        const bool more = i + 1 < kMany;
        put_entry(lab, i,
                  {.at = address_of(buffers.data),
                   .length = 1,
                   .flags = static_cast<u16>(kWrite | (more ? kNext : 0)),
                   .next = static_cast<u16>(i + 1)});
    }
    Chain chain;
    refused(lab, chain.add(buffers.table, kMany * kEntry, kIndirect));
}

// The table lies where the device writes its answer.
void answer_over_the_table(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = through_table(lab);
    const Chain request = lab.request();
    Descriptor data = request.d[lab.kind->data];
    data.at = table_at(0);
    put_entry(lab, lab.kind->data, data);
    lab.submit(chain);
    if (lab.expect_used())
        lab.works();
}

constexpr Case kCases[] = {
    {11, "indirect_good", kBoth, nullptr, good_table},
    {11, "indirect_in_indirect", kBoth, nullptr, table_in_a_table},
    {11, "indirect_length_not_of_whole_entries", kBoth, nullptr, length_not_of_whole_entries},
    {11, "indirect_shorter_than_an_entry", kBoth, nullptr, shorter_than_an_entry},
    {11, "indirect_length_zero", kBoth, nullptr, length_zero},
    {17, "indirect_length_fffffff0", kBoth, nullptr, length_fffffff0},
    {7, "indirect_behind_ram", kBoth, nullptr, behind_ram},
    {7, "indirect_over_the_end_of_ram", kBoth, nullptr, over_the_end_of_ram},
    {7, "indirect_into_the_hole", kBoth, nullptr, into_the_hole},
    {7, "indirect_wraps", kBoth, nullptr, wraps},
    {36, "indirect_in_its_own_bar", kBoth, nullptr, in_its_own_bar},
    {11, "indirect_with_next", kBoth, nullptr, with_next},
    {11, "indirect_after_a_plain_descriptor", kSplit, nullptr, after_a_plain_descriptor},
    {20, "indirect_not_accepted", kBoth, nullptr, feature_not_accepted},
    {5, "indirect_next_outside_the_table", kSplit, nullptr, next_outside_the_table},
    {5, "indirect_table_loops", kSplit, nullptr, table_loops},
    {17, "indirect_thousands_of_entries", kBoth, nullptr, thousands_of_entries},
    {14, "indirect_answer_over_the_table", kBoth, nullptr, answer_over_the_table},
};

}  // namespace

Cases indirect_cases() {
    return cases(kCases);
}

}  // namespace guest
