// SPDX-License-Identifier: Apache-2.0
// Requests of a disk: headers, lengths, sectors, commands it does not have.
//
// Spec: virtio 1.3, 5.2.6. Sectors from kFree on are ours to write; the host looks at the others.
#include "lab.hpp"

namespace guest {
namespace {

constexpr u32 kRead = 0;
constexpr u32 kWriteType = 1;
constexpr u32 kScsi = 2;
constexpr u32 kFlush = 4;
constexpr u32 kGetId = 8;
constexpr u32 kGetLifetime = 10;
constexpr u32 kDiscard = 11;
constexpr u32 kWriteZeroes = 13;
constexpr u32 kSecureErase = 14;
constexpr u64 kDiscardFeature = feature(13);
constexpr u64 kWriteZeroesFeature = feature(14);
constexpr u64 kFlushFeature = feature(9);

constexpr u8 kOk = 0;
constexpr u8 kIoError = 1;
constexpr u8 kUnsupported = 2;
constexpr u8 kUntouched = 0xee;

constexpr u64 kFree = 64;
constexpr u32 kSector = 512;

volatile u8* status_byte() {
    return buffers.other;
}

void header(u32 type, u64 sector) {
    write32(address_of(buffers.header), type);
    write32(address_of(buffers.header) + 4, 0);
    write64(address_of(buffers.header) + 8, sector);
    status_byte()[0] = kUntouched;
}

u64 sectors(Lab& lab) {
    return read64(lab.device.parts.device);
}

/// header, `length` bytes of data if there are any, status.
Chain request(u32 type, u64 sector, u32 length) {
    header(type, sector);
    Chain chain;
    chain.add(buffers.header, 16);
    if (length > 0)
        chain.add(buffers.data, length, type == kRead || type == kGetId ? kWrite : u16{0});
    return chain.add(status_byte(), 1, kWrite).link();
}

bool answered_with(Lab& lab, const Chain& chain, u8 status) {
    lab.submit(chain);
    return lab.expect_used() && lab.expect(status_byte()[0], status, "the request's status is");
}

void expect_status(Lab& lab, const Chain& chain, u8 status) {
    if (lab.up() && answered_with(lab, chain, status))
        lab.works();
}

void not_ok(Lab& lab, const Chain& chain) {
    lab.submit(chain);
    if (lab.expect_used() && lab.expect(status_byte()[0] != kOk, "it says that it did that"))
        lab.works();
}

void refused(Lab& lab, const Chain& chain) {
    if (!lab.up())
        return;
    lab.submit(chain);
    if (lab.expect_used(0) &&
        lab.expect(status_byte()[0], kUntouched, "the byte that is not the status is"))
        lab.works();
}

// ---- the form of a request: row 11

void header_in_pieces(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    for (u16 i = 0; i < 7; ++i)
        chain.cut(i, i + 1U == 7 ? 1 : 2);
    lab.submit(chain);
    if (lab.expect_used())
        lab.expect(lab.kind->answered(lab.last), "a header in pieces did not do");
}

void header_and_data_in_one(Lab& lab) {
    header(kWriteType, kFree);
    for (u32 i = 0; i < 16; ++i)
        buffers.data[i] = buffers.header[i];
    Chain chain;
    chain.add(buffers.data, 16 + kSector).add(status_byte(), 1, kWrite).link();
    expect_status(lab, chain, kOk);
}

void data_and_status_in_one(Lab& lab) {
    if (!lab.up())
        return;
    header(kRead, 1);
    buffers.data[kSector] = kUntouched;
    Chain chain;
    chain.add(buffers.header, 16).add(buffers.data, kSector + 1, kWrite).link();
    lab.submit(chain);
    if (lab.expect_used(kSector + 1))
        lab.expect(buffers.data[kSector], kOk, "the status after the data is");
}

void header_short(Lab& lab) {
    Chain chain = request(kRead, 1, kSector);
    chain.d[0].length = 8;
    expect_status(lab, chain, kIoError);
}

void header_missing(Lab& lab) {
    header(kRead, 1);
    Chain chain;
    chain.add(buffers.data, kSector, kWrite).add(status_byte(), 1, kWrite).link();
    expect_status(lab, chain, kIoError);
}

void header_alone(Lab& lab) {
    header(kRead, 1);
    Chain chain;
    refused(lab, chain.add(buffers.header, 16));
}

void status_missing_of_a_write(Lab& lab) {
    header(kWriteType, kFree);
    Chain chain;
    refused(lab, chain.add(buffers.header, 16).add(buffers.data, kSector).link());
}

void status_read_only(Lab& lab) {
    Chain chain = request(kWriteType, kFree, kSector);
    chain.last().flags = 0;
    refused(lab, chain);
}

void status_read_only_of_a_read(Lab& lab) {
    Chain chain = request(kRead, 1, kSector);
    chain.last().flags = 0;
    refused(lab, chain);
}

void status_outside_ram(Lab& lab) {
    Chain chain = request(kRead, 1, kSector);
    chain.last().at = lab.ram.end;
    if (!lab.up())
        return;
    lab.submit(chain);
    if (lab.expect_used())
        lab.works();
}

void read_into_readable_memory(Lab& lab) {
    Chain chain = request(kRead, 1, kSector);
    chain.d[1].flags = kNext;
    buffers.data[0] = 0x77;
    if (!lab.up())
        return;
    lab.submit(chain);
    if (lab.expect_used() && lab.expect(buffers.data[0], 0x77, "memory of the driver's is now"))
        lab.works();
}

void write_from_writable_memory(Lab& lab) {
    Chain chain = request(kWriteType, 1, kSector);  // sector 1 must stay as it is
    chain.d[1].flags = kNext | kWrite;
    if (!lab.up())
        return;
    lab.submit(chain);
    if (lab.expect_used())
        lab.works();
}

// ---- lengths and sectors: row 21

void length(Lab& lab, u32 bytes) {
    expect_status(lab, request(kRead, 1, bytes), kIoError);
}
void length_1(Lab& lab) {
    length(lab, 1);
}
void length_511(Lab& lab) {
    length(lab, 511);
}
void length_513(Lab& lab) {
    length(lab, 513);
}
void write_of_513(Lab& lab) {
    expect_status(lab, request(kWriteType, kFree, 513), kIoError);
}
void read_of_nothing(Lab& lab) {
    expect_status(lab, request(kRead, 1, 0), kOk);
}

void last_sector(Lab& lab) {
    expect_status(lab, request(kRead, sectors(lab) - 1, kSector), kOk);
}
void sector_behind_the_end(Lab& lab) {
    expect_status(lab, request(kRead, sectors(lab), kSector), kIoError);
}
void data_over_the_end(Lab& lab) {
    expect_status(lab, request(kRead, sectors(lab) - 1, 2 * kSector), kIoError);
}
void write_over_the_end(Lab& lab) {
    expect_status(lab, request(kWriteType, sectors(lab) - 1, 2 * kSector), kIoError);
}
void sector_times_512_wraps(Lab& lab) {
    expect_status(lab, request(kRead, (u64{1} << 55) + 1, kSector), kIoError);
}
void sector_negative(Lab& lab) {
    expect_status(lab, request(kRead, u64{1} << 63, kSector), kIoError);
}
void sector_all_ones(Lab& lab) {
    expect_status(lab, request(kWriteType, ~u64{0}, kSector), kIoError);
}
void nothing_at_sector_all_ones(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(request(kRead, ~u64{0}, 0));
    if (lab.expect_used())
        lab.works();
}

// ---- commands

void unknown_types(Lab& lab) {
    if (!lab.up())
        return;
    for (const u32 type : {3U, 5U, 7U, 9U, 16U, 26U, 0x7fff'ffffU, 0x8000'0000U, 0xffff'ffffU})
        if (!answered_with(lab, request(type, 1, kSector), kUnsupported))
            return;
    lab.works();
}
void scsi_command(Lab& lab) {
    expect_status(lab, request(kScsi, 0, kSector), kUnsupported);
}
void commands_not_offered(Lab& lab) {
    if (!lab.up())
        return;
    for (const u32 type : {kGetLifetime, kSecureErase, 15U, 17U})
        if (!answered_with(lab, request(type, kFree, kSector), kUnsupported))
            return;
    lab.works();
}

void flush_with_data(Lab& lab) {
    expect_status(lab, request(kFlush, ~u64{0}, kSector), kOk);
}
void flush_storm(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 50; ++i)
        if (!answered_with(lab, request(kFlush, 0, 0), kOk))
            return;
    lab.works();
}

void id_into(Lab& lab, u32 bytes) {
    if (!lab.up())
        return;
    buffers.data[bytes] = kUntouched;
    if (!answered_with(lab, request(kGetId, 0, bytes), kOk))
        return;
    lab.expect(buffers.data[bytes], kUntouched, "the byte after the serial number is");
    lab.works();
}
void id_into_nothing(Lab& lab) {
    id_into(lab, 0);
}
void id_into_1(Lab& lab) {
    id_into(lab, 1);
}
void id_into_19(Lab& lab) {
    id_into(lab, 19);
}
void id_into_a_page(Lab& lab) {
    id_into(lab, 4096);
}

// ---- ranges of discard and write zeroes

struct Range {
    u64 sector;
    u32 count;
    u32 flags;
};

Chain ranges(u32 type, const Range* range, u32 count, u32 bytes_more = 0) {
    const Chain chain = request(type, 0, count * 16 + bytes_more);
    for (u32 i = 0; i < count; ++i) {
        const u64 at = address_of(buffers.data) + u64{i} * 16;
        write64(at, range->sector);
        write32(at + 8, range->count);
        write32(at + 12, range->flags);
    }
    return chain;
}

template <u32 type>
void range_not_ok(Lab& lab, const Range& range) {
    if (lab.up())
        not_ok(lab, ranges(type, &range, 1));
}

template <u32 type>
void two_ranges(Lab& lab) {
    const Range range{kFree, 8, 0};
    if (lab.up())
        not_ok(lab, ranges(type, &range, 2));
}
template <u32 type>
void thousand_ranges(Lab& lab) {
    const Range range{kFree, 8, 0};
    if (lab.up())
        not_ok(lab, ranges(type, &range, 1000));
}
template <u32 type>
void half_a_range(Lab& lab) {
    const Range range{kFree, 8, 0};
    if (lab.up())
        not_ok(lab, ranges(type, &range, 0, 8));
}
template <u32 type>
void range_and_a_half(Lab& lab) {
    const Range range{kFree, 8, 0};
    if (lab.up())
        not_ok(lab, ranges(type, &range, 1, 8));
}
template <u32 type>
void no_range(Lab& lab) {
    if (lab.up())
        not_ok(lab, request(type, 0, 0));
}
template <u32 type>
void reserved_flags(Lab& lab) {
    range_not_ok<type>(lab, {kFree, 8, 0xffff'fffe});
}
template <u32 type>
void range_behind_the_end(Lab& lab) {
    range_not_ok<type>(lab, {sectors(lab), 8, 0});
}
template <u32 type>
void range_over_the_end(Lab& lab) {
    range_not_ok<type>(lab, {sectors(lab) - 1, 2, 0});
}
template <u32 type>
void range_wraps(Lab& lab) {
    range_not_ok<type>(lab, {~u64{0}, 2, 0});
}
template <u32 type>
void range_times_512_wraps(Lab& lab) {
    range_not_ok<type>(lab, {u64{1} << 55, 8, 0});
}
template <u32 type>
void range_of_ffffffff(Lab& lab) {
    range_not_ok<type>(lab, {kFree, 0xffff'ffff, 0});
}
template <u32 type>
void range_of_nothing(Lab& lab) {
    const Range range{kFree, 0, 0};
    if (!lab.up())
        return;
    lab.submit(ranges(type, &range, 1));
    if (lab.expect_used())
        lab.works();
}
void discard_with_unmap(Lab& lab) {
    range_not_ok<kDiscard>(lab, {kFree, 8, 1});
}

void not_accepted(Lab& lab, u64 bit, const Chain& chain) {
    if (lab.up_with(lab.features() & ~bit) && answered_with(lab, chain, kUnsupported))
        lab.works();
}
void discard_not_accepted(Lab& lab) {
    const Range range{kFree, 8, 0};
    not_accepted(lab, kDiscardFeature, ranges(kDiscard, &range, 1));
}
void zeroes_not_accepted(Lab& lab) {
    const Range range{kFree, 8, 0};
    not_accepted(lab, kWriteZeroesFeature, ranges(kWriteZeroes, &range, 1));
}
void flush_not_accepted(Lab& lab) {
    if (!lab.up_with(lab.features() & ~kFlushFeature))
        return;
    lab.submit(request(kFlush, 0, 0));
    if (lab.expect_used())
        lab.works();
}

// ---- many and much

// More segments than seg_max, of which each is a sector.
void too_many_segments(Lab& lab) {
    if (!lab.up())
        return;
    header(kRead, 0);
    constexpr unsigned kMany = 1000;
    const u64 table = address_of(buffers.table);
    const auto put = [&](unsigned entry, u64 at, u32 bytes, u16 flags) {
        write64(table + u64{entry} * 16, at);
        write32(table + u64{entry} * 16 + 8, bytes);
        const u32 more = entry < kMany + 1 ? kNext : 0;
        write32(table + u64{entry} * 16 + 12,
                lab.packed() ? u32{flags} << 16 : (entry + 1) << 16 | flags | more);
    };
    put(0, address_of(buffers.header), 16, 0);
    for (unsigned i = 0; i < kMany; ++i)
        put(i + 1, address_of(buffers.data), kSector, kWrite);
    put(kMany + 1, address_of(status_byte()), 1, kWrite);
    Chain chain;
    not_ok(lab, chain.add(buffers.table, (kMany + 2) * 16, kIndirect));
}

void longer_than_the_disk(Lab& lab) {
    expect_status(lab, request(kRead, 0, 0x2000'0000), kIoError);
}

// The header turns into another request while the device may be reading it.
void header_changed_after_the_kick(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 200; ++i) {
        const Chain chain = request(kRead, 1, kSector);
        lab.ring().offer(chain);
        lab.kick();
        for (u64 k = 0; k < i; ++k)
            write64(address_of(buffers.header) + 8, k % 2 == 0 ? ~u64{0} : 2);
        if (!lab.expect_used())
            return;
        const u8 status = status_byte()[0];
        if (!lab.expect(status == kOk || status == kIoError, "the status makes no sense"))
            return;
    }
    lab.works();
}

// As many as the ring holds, again and again, before any is waited for.
void flood(Lab& lab) {
    if (!lab.up())
        return;
    const Chain chain = request(kRead, 1, kSector);
    for (unsigned turn = 0; turn < 30; ++turn) {
        for (unsigned out = lab.fill(chain, Lab::Kicks::Each); out > 0; --out)
            if (!lab.expect_used())
                return;
    }
    lab.works();
}

void writeback_of_odd_values(Lab& lab) {
    if (!lab.up())
        return;
    for (const u8 value : {u8{2}, u8{0x80}, u8{0xff}})
        write8(lab.device.parts.device + 32, value);
    lab.expect(read8(lab.device.parts.device + 32) <= 1, "writeback is neither 0 nor 1");
    for (unsigned i = 0; i < 50; ++i)
        write8(lab.device.parts.device + 32, i % 2);
    lab.works();
}

// ---- a disk that may not be written to: row 20

void stays_as_it_is(Lab& lab, const Chain& chain) {
    if (lab.up())
        not_ok(lab, chain);
}
void write_to_it(Lab& lab) {
    stays_as_it_is(lab, request(kWriteType, 1, kSector));
}
void write_to_it_without_the_feature(Lab& lab) {
    if (lab.up_with(lab.features() & ~feature(5)))
        not_ok(lab, request(kWriteType, 1, kSector));
}
void discard_of_it(Lab& lab) {
    const Range range{0, 64, 0};
    stays_as_it_is(lab, ranges(kDiscard, &range, 1));
}
void zeroes_to_it(Lab& lab) {
    const Range range{0, 64, 0};
    stays_as_it_is(lab, ranges(kWriteZeroes, &range, 1));
}

constexpr Case kCases[] = {
    {11, "header_in_pieces", kBoth, "blk", header_in_pieces},
    {11, "header_and_data_in_one", kBoth, "blk", header_and_data_in_one},
    {11, "data_and_status_in_one", kBoth, "blk", data_and_status_in_one},
    {11, "header_short", kBoth, "blk", header_short},
    {11, "header_missing", kBoth, "blk", header_missing},
    {11, "header_alone", kBoth, "blk", header_alone},
    {11, "write_without_status", kBoth, "blk", status_missing_of_a_write},
    {11, "status_read_only", kBoth, "blk", status_read_only},
    {11, "status_read_only_of_a_read", kBoth, "blk", status_read_only_of_a_read},
    {7, "status_outside_ram", kBoth, "blk", status_outside_ram},
    {36, "read_into_readable_memory", kBoth, "blk", read_into_readable_memory},
    {36, "write_from_writable_memory", kBoth, "blk", write_from_writable_memory},
    {21, "read_of_1_byte", kBoth, "blk", length_1},
    {21, "read_of_511_bytes", kBoth, "blk", length_511},
    {21, "read_of_513_bytes", kBoth, "blk", length_513},
    {21, "write_of_513_bytes", kBoth, "blk", write_of_513},
    {21, "read_of_nothing", kBoth, "blk", read_of_nothing},
    {21, "last_sector", kBoth, "blk", last_sector},
    {21, "sector_behind_the_end", kBoth, "blk", sector_behind_the_end},
    {21, "read_over_the_end", kBoth, "blk", data_over_the_end},
    {21, "write_over_the_end", kBoth, "blk", write_over_the_end},
    {21, "sector_times_512_wraps", kBoth, "blk", sector_times_512_wraps},
    {21, "sector_negative", kBoth, "blk", sector_negative},
    {21, "sector_all_ones", kBoth, "blk", sector_all_ones},
    {21, "nothing_at_sector_all_ones", kBoth, "blk", nothing_at_sector_all_ones},
    {21, "unknown_types", kBoth, "blk", unknown_types},
    {36, "scsi_command", kBoth, "blk", scsi_command},
    {20, "commands_not_offered", kBoth, "blk", commands_not_offered},
    {21, "flush_with_data", kBoth, "blk", flush_with_data},
    {16, "flush_storm", kBoth, "blk", flush_storm},
    {11, "id_into_nothing", kBoth, "blk", id_into_nothing},
    {11, "id_into_1_byte", kBoth, "blk", id_into_1},
    {11, "id_into_19_bytes", kBoth, "blk", id_into_19},
    {11, "id_into_a_page", kBoth, "blk", id_into_a_page},
    {21, "discard_of_two_ranges", kBoth, "blk", two_ranges<kDiscard>},
    {21, "write_zeroes_of_two_ranges", kBoth, "blk", two_ranges<kWriteZeroes>},
    {21, "discard_of_a_thousand_ranges", kBoth, "blk", thousand_ranges<kDiscard>},
    {21, "write_zeroes_of_a_thousand_ranges", kBoth, "blk", thousand_ranges<kWriteZeroes>},
    {21, "discard_of_half_a_range", kBoth, "blk", half_a_range<kDiscard>},
    {21, "write_zeroes_of_half_a_range", kBoth, "blk", half_a_range<kWriteZeroes>},
    {21, "discard_of_a_range_and_a_half", kBoth, "blk", range_and_a_half<kDiscard>},
    {21, "write_zeroes_of_a_range_and_a_half", kBoth, "blk", range_and_a_half<kWriteZeroes>},
    {21, "discard_of_no_range", kBoth, "blk", no_range<kDiscard>},
    {21, "write_zeroes_of_no_range", kBoth, "blk", no_range<kWriteZeroes>},
    {21, "discard_with_reserved_flags", kBoth, "blk", reserved_flags<kDiscard>},
    {21, "write_zeroes_with_reserved_flags", kBoth, "blk", reserved_flags<kWriteZeroes>},
    {21, "discard_behind_the_end", kBoth, "blk", range_behind_the_end<kDiscard>},
    {21, "write_zeroes_behind_the_end", kBoth, "blk", range_behind_the_end<kWriteZeroes>},
    {21, "discard_over_the_end", kBoth, "blk", range_over_the_end<kDiscard>},
    {21, "write_zeroes_over_the_end", kBoth, "blk", range_over_the_end<kWriteZeroes>},
    {21, "discard_that_wraps", kBoth, "blk", range_wraps<kDiscard>},
    {21, "write_zeroes_that_wraps", kBoth, "blk", range_wraps<kWriteZeroes>},
    {21, "discard_times_512_wraps", kBoth, "blk", range_times_512_wraps<kDiscard>},
    {21, "write_zeroes_times_512_wraps", kBoth, "blk", range_times_512_wraps<kWriteZeroes>},
    {21, "discard_of_ffffffff_sectors", kBoth, "blk", range_of_ffffffff<kDiscard>},
    {21, "write_zeroes_of_ffffffff_sectors", kBoth, "blk", range_of_ffffffff<kWriteZeroes>},
    {21, "discard_of_nothing", kBoth, "blk", range_of_nothing<kDiscard>},
    {21, "write_zeroes_of_nothing", kBoth, "blk", range_of_nothing<kWriteZeroes>},
    {21, "discard_with_unmap", kBoth, "blk", discard_with_unmap},
    {20, "discard_not_accepted", kBoth, "blk", discard_not_accepted},
    {20, "write_zeroes_not_accepted", kBoth, "blk", zeroes_not_accepted},
    {20, "flush_not_accepted", kBoth, "blk", flush_not_accepted},
    {17, "too_many_segments", kBoth, "blk", too_many_segments},
    {17, "longer_than_the_disk", kBoth, "blk", longer_than_the_disk},
    {14, "header_changed_after_the_kick", kBoth, "blk", header_changed_after_the_kick},
    {16, "flood", kBoth, "blk", flood},
    {19, "writeback_of_odd_values", kNoRing, "blk", writeback_of_odd_values},
    {20, "write", kBoth, "readonly", write_to_it},
    {20, "write_without_the_feature", kBoth, "readonly", write_to_it_without_the_feature},
    {20, "discard", kBoth, "readonly", discard_of_it},
    {20, "write_zeroes", kBoth, "readonly", zeroes_to_it},
};

}  // namespace

Cases block_cases() {
    return cases(kCases);
}

}  // namespace guest
