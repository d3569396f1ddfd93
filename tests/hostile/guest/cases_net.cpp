// SPDX-License-Identifier: Apache-2.0
// A network device: frames with headers that lie, receive buffers that are none, control commands.
//
// Spec: virtio 1.3, 5.1.6. The host sends back frames of ethertype 0x88b5, so that both ways are
// known to work.
#include "lab.hpp"

namespace guest {
namespace {

constexpr u16 kReceive = 0;
constexpr u16 kTransmit = 1;
constexpr u16 kControl = 2;
constexpr u32 kHeader = 12;
constexpr u64 kMergeable = feature(15);
constexpr u64 kControlFeature = feature(17);

/// struct virtio_net_hdr.
struct Header {
    u8 flags = 0;
    u8 segmentation = 0;
    u16 length = 0;
    u16 segment_size = 0;
    u16 checksum_start = 0;
    u16 checksum_offset = 0;
    u16 buffers = 0;
};

void put_header(const Header& header) {
    buffers.header[0] = header.flags;
    buffers.header[1] = header.segmentation;
    const u16 fields[] = {header.length, header.segment_size, header.checksum_start,
                          header.checksum_offset, header.buffers};
    for (unsigned i = 0; i < 5; ++i)
        write16(address_of(buffers.header) + 2 + 2ULL * i, fields[i]);
}

// ---- sending: row 12

// The frame is dropped or goes out; either way the buffer comes back and the next frame goes.
void sent(Lab& lab, const Chain& chain) {
    lab.submit(chain);
    if (lab.expect_used(0))
        lab.works();
}

void with_header(Lab& lab, const Header& header) {
    if (!lab.up())
        return;
    const Chain chain = lab.request();
    put_header(header);
    sent(lab, chain);
}
void segmentation_unknown(Lab& lab) {
    with_header(lab, {.flags = 1, .segmentation = 0x7f, .segment_size = 100});
}
void segmentation_ff(Lab& lab) {
    with_header(lab,
                {.flags = 0xff, .segmentation = 0xff, .length = 0xffff, .segment_size = 0xffff});
}
void segment_size_zero(Lab& lab) {
    with_header(lab, {.flags = 1, .segmentation = 1, .length = 54, .checksum_start = 34});
}
void segment_size_1(Lab& lab) {
    with_header(lab, {.flags = 1,
                      .segmentation = 1,
                      .length = 54,
                      .segment_size = 1,
                      .checksum_start = 34,
                      .checksum_offset = 16});
}
void segmentation_without_checksum(Lab& lab) {
    with_header(lab, {.segmentation = 4, .length = 54, .segment_size = 1400});
}
void udp_fragmentation(Lab& lab) {
    with_header(lab, {.flags = 1, .segmentation = 3, .length = 42, .segment_size = 8});
}
void header_length_beyond(Lab& lab) {
    with_header(lab, {.flags = 1, .segmentation = 1, .length = 0xffff, .segment_size = 100});
}
void checksum_start_beyond(Lab& lab) {
    with_header(lab, {.flags = 1, .checksum_start = 0xffff, .checksum_offset = 0});
}
void checksum_offset_beyond(Lab& lab) {
    with_header(lab, {.flags = 1, .checksum_start = 34, .checksum_offset = 0xffff});
}
void checksum_at_the_end(Lab& lab) {
    with_header(lab, {.flags = 1, .checksum_start = 58, .checksum_offset = 1});
}
void checksum_sum_wraps(Lab& lab) {
    with_header(lab, {.flags = 1, .checksum_start = 0xfffe, .checksum_offset = 4});
}
void data_valid_from_the_driver(Lab& lab) {
    with_header(lab, {.flags = 2});
}
void number_of_buffers_ffff(Lab& lab) {
    with_header(lab, {.buffers = 0xffff});
}
void offloads_not_accepted(Lab& lab) {
    if (!lab.up_with(lab.features() & ~(feature(0) | feature(11) | feature(12))))
        return;
    const Chain chain = lab.request();
    put_header({.flags = 1,
                .segmentation = 1,
                .length = 54,
                .segment_size = 100,
                .checksum_start = 34,
                .checksum_offset = 16});
    sent(lab, chain);
}

void header_alone(Lab& lab) {
    if (!lab.up())
        return;
    lab.request();
    Chain chain;
    sent(lab, chain.add(buffers.header, kHeader));
}
void header_of_11_bytes(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    sent(lab, chain.add(buffers.header, kHeader - 1));
}
void frame_of_1_byte(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[1].length = 1;
    sent(lab, chain);
}
void frame_of_13_bytes(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[1].length = 13;
    sent(lab, chain);
}
void frame_over_64_kib(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[1].length = 0x1'1000;
    sent(lab, chain);
}
void frame_over_the_mtu(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[1].length = 9000;
    sent(lab, chain);
}
void frame_of_many_pieces(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    for (u16 i = 0; i < 12; ++i)
        chain.cut(static_cast<u16>(i + 1), 1);
    sent(lab, chain);
}
void frame_in_writable_memory(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[1].flags |= kWrite;
    sent(lab, chain);
}
void all_in_writable_memory(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain = lab.request();
    chain.d[0].flags |= kWrite;
    chain.d[1].flags |= kWrite;
    sent(lab, chain);
}

void transmit_flood(Lab& lab) {
    if (!lab.up())
        return;
    const Chain chain = lab.request();
    for (unsigned turn = 0; turn < 40; ++turn) {
        for (unsigned out = lab.fill(chain, Lab::Kicks::One); out > 0; --out)
            if (!lab.expect_used())
                return;
    }
    lab.works();
}

// ---- receiving: rows 11, 12, 16

constexpr u32 kBuffer = 2048;

void give_buffers(Lab& lab, u32 bytes) {
    lab.use(kReceive);
    for (u16 id = 0; id < lab.ring().size(); ++id) {
        Chain chain;
        lab.ring().offer(chain.add(buffers.data + 0x4000 + id * kBuffer, bytes, kWrite), id);
    }
    lab.kick();
}

// A frame goes out and comes back in.
bool frames_come_back(Lab& lab) {
    if (!lab.works())
        return false;
    lab.use(kReceive);
    for (const Deadline late; !late.over();) {
        if (!lab.expect_used())
            return lab.fail("no frame comes back");
        const volatile u8* const frame =
            buffers.data + 0x4000 + lab.last.id % 16 * kBuffer + kHeader;
        if (frame[12] == 0x88 && frame[13] == 0xb5)
            return lab.works();
        Chain chain;  // somebody else's
        lab.ring().offer(chain.add(frame - kHeader, kBuffer, kWrite), lab.last.id);
        lab.kick();
    }
    return lab.fail("no frame comes back");
}

// The receive ring is as bad as it can be; sending goes on, and after a reset so does receiving.
void receives_after(Lab& lab) {
    for (unsigned i = 0; i < 5; ++i)
        if (!lab.works())
            return;
    if (!lab.up())
        return;
    give_buffers(lab, kBuffer);
    frames_come_back(lab);
}

void frames_come_back_at_all(Lab& lab) {
    if (lab.up())
        receives_after(lab);
}

void tiny_buffers(Lab& lab, u32 bytes, u64 features) {
    if (!lab.up_with(features))
        return;
    give_buffers(lab, bytes);
    receives_after(lab);
}
void receive_buffers_of_1(Lab& lab) {
    tiny_buffers(lab, 1, lab.features() & ~kMergeable);
}
void receive_buffers_of_11(Lab& lab) {
    tiny_buffers(lab, kHeader - 1, lab.features() & ~kMergeable);
}
void receive_buffers_of_12(Lab& lab) {
    tiny_buffers(lab, kHeader, lab.features() & ~kMergeable);
}
void receive_buffers_of_40(Lab& lab) {
    tiny_buffers(lab, 40, lab.features() & ~kMergeable);
}
void mergeable_buffers_of_1(Lab& lab) {
    tiny_buffers(lab, 1, lab.features() | kMergeable);
}
void mergeable_buffers_of_13(Lab& lab) {
    tiny_buffers(lab, 13, lab.features() | kMergeable);
}

void receive_chain(Lab& lab, u64 at, u32 bytes, u16 flags) {
    if (!lab.up())
        return;
    lab.use(kReceive);
    for (u16 id = 0; id < lab.ring().size(); ++id) {
        Chain chain;
        lab.ring().offer(chain.add_at(at, bytes, flags), id);
    }
    lab.kick();
    receives_after(lab);
}
void receive_buffers_read_only(Lab& lab) {
    receive_chain(lab, address_of(buffers.data), kBuffer, 0);
}
void receive_buffers_of_nothing(Lab& lab) {
    receive_chain(lab, address_of(buffers.data), 0, kWrite);
}
void receive_buffers_behind_ram(Lab& lab) {
    receive_chain(lab, lab.ram.end, kBuffer, kWrite);
}
void receive_buffers_over_the_end(Lab& lab) {
    receive_chain(lab, lab.ram.end - 20, kBuffer, kWrite);
}
void receive_buffers_wrap(Lab& lab) {
    receive_chain(lab, ~u64{0} - 100, kBuffer, kWrite);
}
void receive_buffers_in_its_bar(Lab& lab) {
    receive_chain(lab, lab.device.function.bar(), kBuffer, kWrite);
}
void receive_buffers_of_ffffffff(Lab& lab) {
    receive_chain(lab, address_of(buffers.data), 0xffff'ffff, kWrite);
}

// No buffers at all while frames come in: row 16.
void no_receive_buffers(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 300; ++i)
        if (!lab.works())
            return;
    receives_after(lab);
}

void receive_queue_never_enabled(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(kTransmit, lab.ring());
    lab.device.enable(kTransmit);
    lab.device.drive();
    for (unsigned i = 0; i < 20; ++i)
        if (!lab.works())
            return;
}

void receive_ring_broken(Lab& lab) {
    if (!lab.up())
        return;
    lab.use(kReceive);
    if (lab.packed())
        for (u16 i = 0; i < lab.ring().size(); ++i)
            lab.ring().put_descriptor(i, {address_of(buffers.data), 1, kNext, kAvail | kNext});
    else
        lab.ring().set_available_index(0x8000);
    lab.kick();
    if (lab.expect_needs_reset() && lab.up())
        receives_after(lab);
}

// ---- control queue

void put_bytes(const u8* bytes, u32 count) {
    for (u32 i = 0; i < count; ++i)
        buffers.header[i] = bytes[i];
}

// The answer to a command whose first two bytes are class and command.
bool command_answer(Lab& lab, const Chain& chain, u8& answer) {
    buffers.other[0] = 0xee;
    lab.use(kControl);
    lab.ring().offer(chain);
    lab.kick();
    const bool used = lab.expect_used();
    answer = buffers.other[0];
    return used;
}

// It is refused, and everything works.
template <unsigned Count>
void refused(Lab& lab, const u8 (&bytes)[Count]) {
    if (!lab.up())
        return;
    put_bytes(bytes, Count);
    Chain chain;
    chain.add(buffers.header, Count).add(buffers.other, 1, kWrite).link();
    u8 answer = 0;
    if (command_answer(lab, chain, answer) && lab.expect(answer, 1, "the command's answer is"))
        lab.works();
}

void command_unknown_class(Lab& lab) {
    refused(lab, {0xff, 0xff, 0, 0, 0, 0});
}
void command_unknown(Lab& lab) {
    refused(lab, {0, 0xff, 1});
}
void command_short(Lab& lab) {
    refused(lab, {0});
}
void command_without_data(Lab& lab) {
    refused(lab, {0, 0});
}
void mac_table_of_ffffffff(Lab& lab) {
    refused(lab, {1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0});
}
void mac_table_cut_off(Lab& lab) {
    refused(lab, {1, 0, 2, 0, 0, 0, 2, 2, 2, 2, 2, 2});
}
void mac_table_size_wraps(Lab& lab) {
    refused(lab, {1, 0, 0xab, 0xaa, 0xaa, 0x2a, 0, 0, 0, 0});  // times 6 is 2 in 32 bits
}
void mac_address_short(Lab& lab) {
    refused(lab, {1, 1, 2, 2, 2});
}
void pairs_zero(Lab& lab) {
    refused(lab, {4, 0, 0, 0});
}
void pairs_ffff(Lab& lab) {
    refused(lab, {4, 0, 0xff, 0xff});
}
void pairs_8001(Lab& lab) {
    refused(lab, {4, 0, 0x01, 0x80});
}
void offloads_unknown(Lab& lab) {
    refused(lab, {5, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
}
void offloads_short(Lab& lab) {
    refused(lab, {5, 0, 0});
}
void announce_unknown(Lab& lab) {
    refused(lab, {3, 9});
}

void command_without_answer(Lab& lab) {
    if (!lab.up())
        return;
    constexpr u8 kPromiscuous[] = {0, 0, 1};
    put_bytes(kPromiscuous, 3);
    Chain chain;
    u8 answer = 0;
    if (command_answer(lab, chain.add(buffers.header, 3), answer))
        lab.works();
}
void command_answer_behind_ram(Lab& lab) {
    if (!lab.up())
        return;
    constexpr u8 kPromiscuous[] = {0, 0, 1};
    put_bytes(kPromiscuous, 3);
    Chain chain;
    chain.add(buffers.header, 3).add_at(lab.ram.end, 1, kWrite).link();
    u8 answer = 0;
    if (command_answer(lab, chain, answer))
        lab.works();
}
void command_is_all_writable(Lab& lab) {
    if (!lab.up())
        return;
    Chain chain;
    u8 answer = 0;
    if (command_answer(lab, chain.add(buffers.other, 64, kWrite), answer))
        lab.works();
}
void command_of_64_kib(Lab& lab) {
    if (!lab.up())
        return;
    constexpr u8 kTable[] = {1, 0};
    put_bytes(kTable, 2);
    for (u32 i = 0; i < 0x10000; i += 4)
        write32(address_of(buffers.data) + i, 0x0000'2000);
    Chain chain;
    chain.add(buffers.header, 2).add(buffers.data, 0x10000).add(buffers.other, 1, kWrite).link();
    u8 answer = 0;
    if (command_answer(lab, chain, answer) && lab.expect(answer <= 1, "the answer makes no sense"))
        lab.works();
}
void control_queue_not_accepted(Lab& lab) {
    const u64 needs = feature(2) | kControlFeature | feature(18) | feature(20) | feature(21) |
                      feature(22) | feature(23);
    if (!lab.up_with(lab.features() & ~needs))
        return;
    constexpr u8 kPromiscuous[] = {0, 0, 1};
    put_bytes(kPromiscuous, 3);
    Chain chain;
    chain.add(buffers.header, 3).add(buffers.other, 1, kWrite).link();
    lab.use(kControl);
    lab.ring().offer(chain);
    lab.kick();
    lab.works();
}
void command_storm(Lab& lab) {
    if (!lab.up())
        return;
    u8 answer = 0;
    for (unsigned i = 0; i < 100; ++i) {
        const u8 bytes[] = {static_cast<u8>(i % 7), static_cast<u8>(i % 5), static_cast<u8>(i), 0};
        put_bytes(bytes, 4);
        Chain chain;
        chain.add(buffers.header, 4).add(buffers.other, 1, kWrite).link();
        if (!command_answer(lab, chain, answer))
            return;
    }
    lab.works();
}

// Features that need others: row 20.
void feature_without_what_it_needs(Lab& lab) {
    const u64 offered = lab.device.offered();
    for (const unsigned bit : {7U, 8U, 11U, 12U, 18U, 21U, 23U}) {
        if ((offered & feature(bit)) == 0)
            continue;
        if (lab.device.begin(kVersion1 | feature(bit))) {
            lab.fail("a feature goes without what it needs", bit);
            return;
        }
    }
}

constexpr Case kCases[] = {
    {12, "segmentation_unknown", kBoth, "net", segmentation_unknown},
    {12, "segmentation_ff", kBoth, "net", segmentation_ff},
    {12, "segment_size_zero", kBoth, "net", segment_size_zero},
    {12, "segment_size_1", kBoth, "net", segment_size_1},
    {12, "segmentation_without_checksum", kBoth, "net", segmentation_without_checksum},
    {12, "udp_fragmentation", kBoth, "net", udp_fragmentation},
    {12, "header_length_beyond", kBoth, "net", header_length_beyond},
    {12, "checksum_start_beyond", kBoth, "net", checksum_start_beyond},
    {12, "checksum_offset_beyond", kBoth, "net", checksum_offset_beyond},
    {12, "checksum_at_the_end", kBoth, "net", checksum_at_the_end},
    {12, "checksum_sum_wraps", kBoth, "net", checksum_sum_wraps},
    {12, "data_valid_from_the_driver", kBoth, "net", data_valid_from_the_driver},
    {12, "number_of_buffers_ffff", kBoth, "net", number_of_buffers_ffff},
    {20, "offloads_not_accepted", kBoth, "net", offloads_not_accepted},
    {12, "header_alone", kBoth, "net", header_alone},
    {12, "header_of_11_bytes", kBoth, "net", header_of_11_bytes},
    {12, "frame_of_1_byte", kBoth, "net", frame_of_1_byte},
    {12, "frame_of_13_bytes", kBoth, "net", frame_of_13_bytes},
    {17, "frame_over_64_kib", kBoth, "net", frame_over_64_kib},
    {12, "frame_over_the_mtu", kBoth, "net", frame_over_the_mtu},
    {11, "frame_of_many_pieces", kBoth, "net", frame_of_many_pieces},
    {11, "frame_in_writable_memory", kBoth, "net", frame_in_writable_memory},
    {11, "all_in_writable_memory", kBoth, "net", all_in_writable_memory},
    {16, "transmit_flood", kBoth, "net", transmit_flood},
    {16, "frames_come_back", kBoth, "net", frames_come_back_at_all},
    {12, "receive_buffers_of_1", kBoth, "net", receive_buffers_of_1},
    {12, "receive_buffers_of_11", kBoth, "net", receive_buffers_of_11},
    {12, "receive_buffers_of_12", kBoth, "net", receive_buffers_of_12},
    {12, "receive_buffers_of_40", kBoth, "net", receive_buffers_of_40},
    {12, "mergeable_buffers_of_1", kBoth, "net", mergeable_buffers_of_1},
    {12, "mergeable_buffers_of_13", kBoth, "net", mergeable_buffers_of_13},
    {11, "receive_buffers_read_only", kBoth, "net", receive_buffers_read_only},
    {9, "receive_buffers_of_nothing", kBoth, "net", receive_buffers_of_nothing},
    {7, "receive_buffers_behind_ram", kBoth, "net", receive_buffers_behind_ram},
    {7, "receive_buffers_over_the_end", kBoth, "net", receive_buffers_over_the_end},
    {7, "receive_buffers_wrap", kBoth, "net", receive_buffers_wrap},
    {36, "receive_buffers_in_its_bar", kBoth, "net", receive_buffers_in_its_bar},
    {17, "receive_buffers_of_ffffffff", kBoth, "net", receive_buffers_of_ffffffff},
    {16, "no_receive_buffers", kBoth, "net", no_receive_buffers},
    {1, "receive_queue_never_enabled", kBoth, "net", receive_queue_never_enabled},
    {5, "receive_ring_broken", kBoth, "net", receive_ring_broken},
    {21, "command_of_unknown_class", kBoth, "net", command_unknown_class},
    {21, "command_unknown", kBoth, "net", command_unknown},
    {11, "command_short", kBoth, "net", command_short},
    {11, "command_without_data", kBoth, "net", command_without_data},
    {17, "mac_table_of_ffffffff", kBoth, "net", mac_table_of_ffffffff},
    {11, "mac_table_cut_off", kBoth, "net", mac_table_cut_off},
    {17, "mac_table_size_wraps", kBoth, "net", mac_table_size_wraps},
    {11, "mac_address_short", kBoth, "net", mac_address_short},
    {3, "pairs_zero", kBoth, "net", pairs_zero},
    {3, "pairs_ffff", kBoth, "net", pairs_ffff},
    {3, "pairs_8001", kBoth, "net", pairs_8001},
    {20, "offloads_unknown", kBoth, "net", offloads_unknown},
    {11, "offloads_short", kBoth, "net", offloads_short},
    {21, "announce_unknown", kBoth, "net", announce_unknown},
    {11, "command_without_answer", kBoth, "net", command_without_answer},
    {7, "command_answer_behind_ram", kBoth, "net", command_answer_behind_ram},
    {11, "command_all_writable", kBoth, "net", command_is_all_writable},
    {17, "command_of_64_kib", kBoth, "net", command_of_64_kib},
    {20, "control_queue_not_accepted", kBoth, "net", control_queue_not_accepted},
    {16, "command_storm", kBoth, "net", command_storm},
    {20, "features_without_what_they_need", kNoRing, "net", feature_without_what_it_needs},
};

}  // namespace

Cases net_cases() {
    return cases(kCases);
}

}  // namespace guest
