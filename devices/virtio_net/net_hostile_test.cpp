// SPDX-License-Identifier: Apache-2.0
// A driver that breaks the rules. The rows are those of the list of bug families that other machine
// monitors had (docs/threat-model.md).
#include "virtio_net/net_test_support.hpp"

namespace vmm::virtio_net {
namespace {

using namespace std::string_literals;

struct NetHostileTest : testing::TestWithParam<RingKind> {
    Bench b{DeviceRig::Options{.kind = GetParam(), .size = 16}, 2};

    void SetUp() override { ASSERT_TRUE(b.rig.start()); }

    /// The device takes and gives frames as ever.
    void expect_alive() {
        while (b.rig.queue(kTx).collect()) {
        }
        b.send(frame_of(99, 42));
        bool arrived = false;
        while (const auto got = b.wire().take()) {
            if (got->bytes == frame_of(99, 42)) {
                arrived = true;
                break;
            }
        }
        EXPECT_TRUE(arrived);
        EXPECT_EQ(b.rig.status() & virtio::status::kNeedsReset, 0);
    }
    void expect_alive_after_reset() {
        EXPECT_TRUE(DeviceRig::wait_until(
            [&] { return (b.rig.status() & virtio::status::kNeedsReset) != 0; }));
        ASSERT_TRUE(b.rig.reset());
        ASSERT_TRUE(b.rig.start());
        expect_alive();
    }
    void expect_dropped(std::string_view raw) {
        const auto before = b.net->traffic().send_dropped;
        const auto id =
            b.rig.queue(kTx).add({{b.rig.put(raw), static_cast<std::uint32_t>(raw.size())}});
        b.rig.kick(kTx);
        EXPECT_EQ(b.rig.wait_used(kTx), (UsedBuffer{id, 0}));
        EXPECT_EQ(b.net->traffic().send_dropped, before + 1);
    }
};

INSTANTIATE_TEST_SUITE_P(Kinds, NetHostileTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& kind) {
                             return kind.param == RingKind::Split ? "Split" : "Packed";
                         });

/// Breaches of what only split rings have.
struct NetSplitTest : NetHostileTest {};

INSTANTIATE_TEST_SUITE_P(Kinds, NetSplitTest, testing::Values(RingKind::Split));

TEST_P(NetHostileTest, Row12FrameWithoutHeaderIsDropped) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{11}, std::size_t{12}})
        expect_dropped(std::string(size, '\0'));
    expect_alive();
}

TEST_P(NetHostileTest, Row12FrameShorterThanEthernetIsDropped) {
    expect_dropped(std::string(12 + 13, '\0'));
    expect_alive();
}

TEST_P(NetHostileTest, Row12FrameLongerThanAnyIsDropped) {
    expect_dropped(std::string(12 + kMaxFrame + 1, '\0'));
    expect_alive();
}

TEST_P(NetHostileTest, Row12NonsenseHeadersAreDropped) {
    expect_dropped("\x01\x00\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00"s + frame_of(60));
    expect_dropped("\x01\x01\x36\x00\x00\x00\x22\x00\x10\x00\x00\x00"s + frame_of(60));
    expect_dropped("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s + frame_of(60));
    expect_alive();
}

TEST_P(NetHostileTest, Row12FramesThatTheHostRefusesDoNotStopTheQueue) {
    b.host.refuse_sends = true;
    for (int i = 0; i < 300; ++i) {
        b.send(frame_of(60));
        ASSERT_TRUE(b.rig.wait_used(kTx).has_value());
    }
    EXPECT_EQ(b.net->traffic().send_dropped, 300u);
    b.host.refuse_sends = false;
    expect_alive();
}

TEST_P(NetHostileTest, Row11SendBufferThatIsNotRamIsDropped) {
    b.rig.queue(kTx).add({{Gpa{1ull << 40}, 100}});
    b.rig.queue(kTx).add({{b.rig.put("x"), 12}, {Gpa{~0ull - 50}, 100}});
    b.rig.kick(kTx);
    EXPECT_EQ(b.rig.wait_used(kTx)->length, 0u);
    EXPECT_EQ(b.rig.wait_used(kTx)->length, 0u);
    expect_alive();
}

TEST_P(NetHostileTest, Row11SendBufferThatIsWritableIsDropped) {
    b.rig.queue(kTx).add({{b.rig.room(100), 100, true}});
    b.rig.kick(kTx);
    EXPECT_EQ(b.rig.wait_used(kTx)->length, 0u);
    expect_alive();
}

TEST_P(NetHostileTest, Row11FrameInMorePiecesThanOneWritevTakesIsSent) {
    // 1024 pieces after the header's: more than IOV_MAX with it.
    const std::string frame = frame_of(1023);
    const Gpa bytes = b.rig.put(frame);
    const Gpa header = b.rig.room(12);
    std::vector<Buffer> pieces{{header, 12}};
    for (std::uint64_t i = 0; i < frame.size(); ++i)
        pieces.push_back({Gpa{bytes.value() + i}, 1});
    b.rig.queue(kTx).add_indirect(pieces, b.rig.room(16 * pieces.size()));
    b.rig.kick(kTx);

    const auto got = b.wire().take();
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->bytes, frame);
}

TEST_P(NetHostileTest, Row11ReceiveBuffersThatCannotBeUsedComeBack) {
    b.rig.queue(kRx).add({{Gpa{1ull << 40}, 2048, true}});
    b.rig.queue(kRx).add({{b.rig.room(64), 64}});
    const Gpa good = b.rig.room(2048);
    b.rig.queue(kRx).add({{good, 2048, true}});
    b.rig.kick(kRx);
    ASSERT_TRUE(b.wire().put(frame_of(60)));

    EXPECT_EQ(b.rig.wait_used(kRx)->length, 0u);
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 0u);
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 72u);
    expect_alive();
}

TEST_P(NetHostileTest, Row11ReceiveBuffersOfOneByteAreMerged) {
    std::vector<Gpa> at;
    for (int i = 0; i < 16; ++i)
        at.push_back(b.give_room(i < 15 ? 1 : 4096));
    b.rig.kick(kRx);
    ASSERT_TRUE(b.wire().put(frame_of(60), {.gso_size = 0x1234}));

    std::string got;
    for (int i = 0; i < 16; ++i) {
        const auto used = b.rig.wait_used(kRx);
        ASSERT_TRUE(used.has_value()) << i;
        got += b.rig.memory().text(at[static_cast<std::size_t>(i)], used->length);
    }
    EXPECT_EQ(got.substr(0, 12), "\x00\x00\x00\x00\x34\x12\x00\x00\x00\x00\x10\x00"s);
    EXPECT_EQ(got.substr(12), frame_of(60));
}

TEST_P(NetHostileTest, Row11ReceiveChainOfAThousandPieces) {
    std::vector<Buffer> pieces;
    const Gpa room = b.rig.room(1024 * 64);
    for (std::uint64_t i = 0; i < 1024; ++i)
        pieces.push_back({Gpa{room.value() + i * 64}, 64, true});
    // 1024 pieces and our own are one too many for readv: given back.
    b.rig.queue(kRx).add_indirect(pieces, b.rig.room(16 * 1024));
    pieces.pop_back();
    b.rig.queue(kRx).add_indirect(pieces, b.rig.room(16 * 1024));
    b.rig.queue(kRx).add_indirect(pieces, b.rig.room(16 * 1024));
    b.rig.kick(kRx);
    ASSERT_TRUE(b.wire().put(frame_of(60)));
    ASSERT_TRUE(b.wire().put(frame_of(61)));

    EXPECT_EQ(b.rig.wait_used(kRx)->length, 0u);
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 72u);
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 73u);
}

TEST_P(NetSplitTest, Row05IndexFarAheadAsksForReset) {
    b.rig.queue(kTx).poke_avail_index(0x7000);
    b.rig.kick(kTx);
    expect_alive_after_reset();
}

TEST_P(NetSplitTest, Row05ReceiveIndexFarAheadAsksForReset) {
    b.rig.queue(kRx).poke_avail_index(0x7000);
    b.rig.kick(kRx);
    ASSERT_TRUE(b.wire().put(frame_of(60)));
    EXPECT_TRUE(
        DeviceRig::wait_until([&] { return (b.rig.status() & virtio::status::kNeedsReset) != 0; }));
    ASSERT_TRUE(b.rig.reset());
    ASSERT_TRUE(b.rig.start());
    expect_alive();
}

TEST_P(NetHostileTest, Row06ReceiveChainOf4GiBIsHarmless) {
    std::vector<Buffer> pieces(5, Buffer{Gpa{0x100000}, 0x4000'0000, true});
    b.rig.queue(kRx).add(pieces);
    b.rig.kick(kRx);
    ASSERT_TRUE(b.wire().put(frame_of(60)));
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 0u);
    expect_alive();
}

TEST_P(NetHostileTest, SegmentsThatNobodyAskedForAreDropped) {
    b.give_room(2048);
    b.give_room(2048);
    b.rig.kick(kRx);
    EXPECT_EQ(b.command("\x05\x00\x82\x00\x00\x00\x00\x00\x00\x00"s, 4), 0);  // CSUM, TSO4

    for (const auto type : {FrameHeader::kGsoTcp6, FrameHeader::kGsoUdpL4, FrameHeader::kGsoTcp4})
        ASSERT_TRUE(b.wire().put(frame_of(1400, type), {.flags = 1, .gso_type = type}));
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 1412u);
    EXPECT_EQ(b.net->traffic().receive_dropped, 2u);

    ASSERT_TRUE(b.rig.reset());
    EXPECT_EQ(b.host.used(), FrameOffloads{});
}

TEST_P(NetHostileTest, Row16NoBuffersMeansNoWork) {
    ASSERT_TRUE(b.wire().put(frame_of(60)));
    ASSERT_TRUE(b.wire().put(frame_of(61)));
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    const int tries = b.host.receives;
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
    EXPECT_EQ(b.host.receives, tries);

    b.give_room(2048);
    b.give_room(2048);
    EXPECT_TRUE(b.rig.kick_if_wanted(kRx));
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 72u);
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 73u);
}

TEST_P(NetHostileTest, Row16FullHostAndEmptyRingRecover) {
    int put = 0;
    while (b.wire().put(frame_of(1000, static_cast<unsigned>(put))))
        ++put;
    ASSERT_GT(put, 16);
    const Gpa room = b.rig.room(16 * 2048);
    for (int i = 0; i < put; ++i) {
        b.rig.queue(kRx).add(
            {{Gpa{room.value() + 2048u * static_cast<unsigned>(i % 16)}, 2048, true}});
        b.rig.kick_if_wanted(kRx);
        ASSERT_EQ(b.rig.wait_used(kRx)->length, 1012u) << i;
    }
}

TEST_P(NetHostileTest, Row16FrameLargerThanAllBuffersOfTheDriverIsDropped) {
    for (int i = 0; i < 16; ++i)
        b.give_room(1000);
    b.rig.kick(kRx);
    ASSERT_TRUE(b.wire().put(frame_of(60000)));
    ASSERT_TRUE(b.wire().put(frame_of(60)));
    EXPECT_EQ(b.rig.wait_used(kRx)->length, 72u);
    EXPECT_EQ(b.net->traffic().receive_dropped, 1u);
}

TEST_P(NetHostileTest, Row16BusyReceiverDoesNotStarveTheOthers) {
    std::atomic<bool> stop{false};
    std::thread flood{[&] {
        while (!stop)
            if (!b.wire().put(frame_of(60)))
                std::this_thread::yield();
    }};
    const Gpa room = b.rig.room(16 * 2048);
    for (std::uint64_t i = 0; i < 16; ++i)
        b.rig.queue(kRx).add({{Gpa{room.value() + 2048 * i}, 2048, true}});
    b.rig.kick(kRx);
    for (int i = 0; i < 200; ++i) {
        while (b.rig.queue(kRx).collect()) {
            b.rig.queue(kRx).add({{room, 2048, true}});
            b.rig.kick_if_wanted(kRx);
        }
        if (i % 20 == 0) {
            EXPECT_EQ(b.command("\x00\x00\x01"s, 4), 0);
        }
    }
    stop = true;
    flood.join();
    ASSERT_TRUE(b.rig.reset());
}

TEST_P(NetHostileTest, Row19ConfigurationSpaceIsReadInItsBoundsOnly) {
    EXPECT_EQ(b.rig.config<std::uint8_t>(11), 0);
    EXPECT_EQ(b.rig.config<std::uint8_t>(12), 0xff);
    EXPECT_EQ(b.rig.config<std::uint32_t>(10), 0xffff'ffffu);
    EXPECT_EQ(b.rig.config<std::uint64_t>(0xffff'fffc), ~std::uint64_t{0});
    b.rig.write_config<std::uint64_t>(0, 0);
    b.rig.write_config<std::uint32_t>(0xffff'fffe, 0);
    EXPECT_EQ((b.rig.config<MacAddress>(0)), kMac);
}

TEST_P(NetHostileTest, Row20InconsistentFeaturesAreRefused) {
    for (const virtio::Features missing :
         {f::kCtrlVq, f::kCsum, f::kGuestCsum, f::kHostTso4 | f::kHostTso6,
          f::kGuestTso4 | f::kGuestTso6}) {
        Bench other{DeviceRig::Options{.kind = GetParam(), .without = missing}, 2};
        EXPECT_FALSE(other.rig.start()) << std::hex << missing;
    }
}

TEST_P(NetHostileTest, Row20OneFeatureLessIsFine) {
    for (const virtio::Features missing :
         {f::kMac, f::kStatus, f::kMrgRxbuf, f::kMq, f::kCtrlRx, f::kCtrlMacAddr, f::kHostUso,
          f::kGuestUso4, f::kGuestUfo, f::kGuestAnnounce, f::kCtrlGuestOffloads}) {
        Bench other{DeviceRig::Options{.kind = GetParam(), .without = missing}, 2};
        ASSERT_TRUE(other.rig.start()) << std::hex << missing;
        other.send(frame_of(60));
        EXPECT_TRUE(other.wire().take().has_value());
    }
}

TEST_P(NetHostileTest, Row20SegmentsThatWereNotNegotiatedAreDropped) {
    Bench other{DeviceRig::Options{
        .kind = GetParam(),
        .without = f::kHostTso4 | f::kHostTso6 | f::kHostEcn | f::kHostUfo | f::kHostUso}};
    ASSERT_TRUE(other.rig.start());
    other.send(frame_of(3000), {.flags = 1,
                                .gso_type = FrameHeader::kGsoTcp4,
                                .header_length = 54,
                                .gso_size = 1448,
                                .checksum_start = 34,
                                .checksum_offset = 16});
    ASSERT_TRUE(other.rig.wait_used(kTx).has_value());
    EXPECT_EQ(other.net->traffic().send_dropped, 1u);
}

TEST_P(NetHostileTest, ControlCommandsWithoutRoomForTheAnswerAreNotCarriedOut) {
    const auto command = "\x04\x00\x02\x00"s;
    b.rig.queue(4).add({{b.rig.put(command), 4}});
    b.rig.kick(4);
    EXPECT_EQ(b.rig.wait_used(4)->length, 0u);
    b.rig.queue(4).add({{b.rig.put(command), 4}, {Gpa{1ull << 40}, 1, true}});
    b.rig.kick(4);
    EXPECT_EQ(b.rig.wait_used(4)->length, 0u);
    expect_alive();
}

TEST_P(NetHostileTest, ControlCommandsThatAreNonsenseAreRefused) {
    EXPECT_EQ(b.command("\xff"s, 4), 1);
    EXPECT_EQ(b.command("\x04\x00\x00\x80"s, 4), 1);
    EXPECT_EQ(b.command("\x01\x00\xff\xff\xff\xff"s, 4), 1);
    expect_alive();
}

TEST_P(NetHostileTest, Row36ResetWhileFramesComeFromBothSides) {
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 8; ++i) {
            b.give_room(2048);
            b.send(frame_of(60));
            b.wire().put(frame_of(60));
        }
        b.rig.kick(kRx);
        ASSERT_TRUE(b.rig.reset());
        ASSERT_TRUE(b.rig.start());
    }
    expect_alive();
}

TEST_P(NetHostileTest, Row36ResetWhileTheHostIsFull) {
    for (int i = 0; i < 15; ++i)
        b.send(frame_of(65000));
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    ASSERT_TRUE(b.rig.reset());
    ASSERT_TRUE(b.rig.start());
    expect_alive();
}

}  // namespace
}  // namespace vmm::virtio_net
