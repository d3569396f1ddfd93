// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/offloads.hpp"

#include "virtio_net/wire.hpp"

namespace vmm::virtio_net {
namespace {

constexpr FrameOffloads kEveryOffload{true, true, true, true, true, true};

/// What Linux sends for a TCP segment of 64 KiB over IPv4.
FrameHeader tcp4() {
    return {.flags = FrameHeader::kNeedsChecksum,
            .gso_type = FrameHeader::kGsoTcp4,
            .header_length = 54,
            .gso_size = 1448,
            .checksum_start = 34,
            .checksum_offset = 16,
            .num_buffers = 0};
}

TEST(OffloadsTest, FeaturesAndOffloadsAreTwoNamesOfTheSame) {
    EXPECT_EQ(host_features(kEveryOffload), 0x0100'0000'0000'7801u);   // 0, 11 to 14, 56
    EXPECT_EQ(guest_features(kEveryOffload), 0x00c0'0000'0000'0782u);  // 1, 7 to 10, 54, 55
    EXPECT_EQ(host_offloads(host_features(kEveryOffload)), kEveryOffload);
    EXPECT_EQ(guest_offloads(guest_features(kEveryOffload)), kEveryOffload);
}

TEST(OffloadsTest, NothingIsOfferedWithoutChecksums) {
    EXPECT_EQ(host_features({.tso4 = true}), 0u);
    EXPECT_EQ(guest_features({.tso4 = true}), 0u);
    EXPECT_EQ(guest_offloads(f::kGuestTso4), FrameOffloads{});
    EXPECT_EQ(host_offloads(f::kHostTso4), FrameOffloads{});
}

TEST(OffloadsTest, DatagramSegmentsNeedBothProtocols) {
    EXPECT_FALSE(guest_offloads(f::kGuestCsum | f::kGuestUso4).uso);
    EXPECT_TRUE(guest_offloads(f::kGuestCsum | f::kGuestUso4 | f::kGuestUso6).uso);
}

TEST(OffloadsTest, Row20BitsWithoutThoseTheyNeedAreInconsistent) {
    EXPECT_TRUE(consistent(0));
    EXPECT_TRUE(consistent(guest_features(kEveryOffload) | host_features(kEveryOffload)));
    EXPECT_TRUE(consistent(f::kCtrlVq | f::kMq));
    for (const virtio::Features bad :
         {f::kGuestTso4, f::kGuestTso6, f::kGuestUfo, f::kGuestUso4, f::kGuestUso6,
          f::kGuestCsum | f::kGuestEcn, f::kHostTso4, f::kHostTso6, f::kHostUfo, f::kHostUso,
          f::kCsum | f::kHostEcn, f::kCtrlRx, f::kCtrlRxExtra, f::kGuestAnnounce, f::kMq,
          f::kCtrlMacAddr, f::kCtrlGuestOffloads})
        EXPECT_FALSE(consistent(bad)) << std::hex << bad;
}

TEST(OffloadsTest, PlainFramePassesAndStrayFieldsAreCleared) {
    FrameHeader header{.flags = 0xfe,
                       .gso_type = 0,
                       .header_length = 9000,
                       .gso_size = 7,
                       .checksum_start = 60000,
                       .checksum_offset = 60000,
                       .num_buffers = 9};
    EXPECT_TRUE(accept_header(header, 60, {}));
    EXPECT_EQ(header, FrameHeader{});
}

TEST(OffloadsTest, SegmentsPassAsNegotiated) {
    FrameHeader header = tcp4();
    EXPECT_TRUE(accept_header(header, 1514, kEveryOffload));
    EXPECT_EQ(header, tcp4());
}

TEST(OffloadsTest, Row12ChecksumBeyondTheFrameIsRefused) {
    FrameHeader header{.flags = 1, .checksum_start = 34, .checksum_offset = 16};
    EXPECT_TRUE(accept_header(header, 52, kEveryOffload));
    EXPECT_FALSE(accept_header(header, 51, kEveryOffload));
    header.checksum_start = 0xffff;
    header.checksum_offset = 0xffff;
    EXPECT_FALSE(accept_header(header, kMaxFrame, kEveryOffload));
}

TEST(OffloadsTest, Row12HeaderLengthBeyondTheFrameIsRefused) {
    FrameHeader header = tcp4();
    header.header_length = 1515;
    EXPECT_FALSE(accept_header(header, 1514, kEveryOffload));
}

TEST(OffloadsTest, Row12SegmentsOfNoSizeAreRefused) {
    FrameHeader header = tcp4();
    header.gso_size = 0;
    EXPECT_FALSE(accept_header(header, 1514, kEveryOffload));
}

TEST(OffloadsTest, Row12SegmentsWithoutChecksumAreRefused) {
    FrameHeader header = tcp4();
    header.flags = 0;
    EXPECT_FALSE(accept_header(header, 1514, kEveryOffload));
}

TEST(OffloadsTest, Row12UnknownSegmentationIsRefused) {
    for (const int type : {2, 6, 0x7f, 0x80, 0x83, 0x85, 0xff}) {
        FrameHeader header = tcp4();
        header.gso_type = static_cast<std::uint8_t>(type);
        EXPECT_FALSE(accept_header(header, 1514, kEveryOffload)) << type;
    }
}

TEST(OffloadsTest, Row20WhatWasNotNegotiatedIsRefused) {
    struct Case {
        std::uint8_t type;
        FrameOffloads without;
    };
    for (const Case& c : {Case{FrameHeader::kGsoTcp4, {true, false, true, true, true, true}},
                          Case{FrameHeader::kGsoTcp6, {true, true, false, true, true, true}},
                          Case{0x81, {true, true, true, false, true, true}},
                          Case{0x84, {true, true, true, false, true, true}},
                          Case{FrameHeader::kGsoUdp, {true, true, true, true, false, true}},
                          Case{FrameHeader::kGsoUdpL4, {true, true, true, true, true, false}}}) {
        FrameHeader header = tcp4();
        header.gso_type = c.type;
        EXPECT_FALSE(accept_header(header, 1514, c.without)) << int{c.type};
        header = tcp4();
        header.gso_type = c.type;
        EXPECT_TRUE(accept_header(header, 1514, kEveryOffload)) << int{c.type};
    }
    FrameHeader checksum{.flags = 1, .checksum_start = 34, .checksum_offset = 16};
    EXPECT_FALSE(accept_header(checksum, 60, {}));
}

}  // namespace
}  // namespace vmm::virtio_net
