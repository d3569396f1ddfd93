// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/net.hpp"

#include "virtio_net/net_test_support.hpp"

namespace vmm::virtio_net {
namespace {

using namespace std::string_literals;

constexpr virtio::Features kAllGuest = f::kGuestCsum | f::kGuestTso4 | f::kGuestTso6 |
                                       f::kGuestEcn | f::kGuestUfo | f::kGuestUso4 | f::kGuestUso6;

struct NetTest : testing::TestWithParam<RingKind> {
    Bench started(virtio::Features without = 0, std::size_t pairs = 1, std::uint16_t size = 0) {
        return Bench{DeviceRig::Options{.kind = GetParam(), .size = size, .without = without},
                     pairs};
    }
};

INSTANTIATE_TEST_SUITE_P(Kinds, NetTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& kind) {
                             return kind.param == RingKind::Split ? "Split" : "Packed";
                         });

TEST_P(NetTest, ConfigurationShowsTheInterface) {
    auto backend = std::make_unique<FakeNetBackend>(2);
    backend->host_mtu = 1400;
    Bench b{std::move(backend), {.kind = GetParam()}, {}};

    EXPECT_EQ((b.rig.config<MacAddress>(0)), kMac);
    EXPECT_EQ(b.rig.config<std::uint16_t>(6), 1);      // link up
    EXPECT_EQ(b.rig.config<std::uint16_t>(8), 2);      // pairs
    EXPECT_EQ(b.rig.config<std::uint16_t>(10), 1400);  // MTU
    EXPECT_NE(b.rig.offered() & f::kMtu, 0u);
    EXPECT_NE(b.rig.offered() & f::kMq, 0u);
}

TEST_P(NetTest, OffersWhatTheHostHas) {
    auto backend = std::make_unique<FakeNetBackend>();
    backend->can_take = {};
    backend->can_give = {.checksum = true};
    Bench b{std::move(backend), {.kind = GetParam()}, {}};

    const auto own = b.rig.offered() & ((virtio::Features{1} << 24) - 1);
    EXPECT_EQ(own, f::kGuestCsum | f::kCtrlGuestOffloads | f::kMac | f::kMrgRxbuf | f::kStatus |
                       f::kCtrlVq | f::kCtrlRx | f::kCtrlRxExtra | f::kGuestAnnounce |
                       f::kCtrlMacAddr);
}

TEST_P(NetTest, SentFrameReachesTheHostWhole) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    const std::string frame = frame_of(1514);

    const auto id = b.send(frame);

    const auto got = b.wire().take();
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->bytes, frame);
    EXPECT_EQ(got->header, FrameHeader{});
    EXPECT_EQ(b.rig.wait_used(kTx), (UsedBuffer{id, 0}));
}

TEST_P(NetTest, HeaderAndFrameMayBeCutAnywhere) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    const std::string frame = frame_of(100);
    const std::string all = std::string(12, '\0') + frame;
    const Gpa at = b.rig.put(all);

    for (const std::uint32_t cut : {1u, 11u, 12u, 13u, 111u}) {
        b.rig.queue(kTx).add({{at, cut}, {Gpa{at.value() + cut}, 112 - cut}});
        b.rig.kick(kTx);
        const auto got = b.wire().take();
        ASSERT_TRUE(got.has_value()) << cut;
        EXPECT_EQ(got->bytes, frame);
        ASSERT_TRUE(b.rig.wait_used(kTx).has_value());
    }
}

TEST_P(NetTest, SegmentsGoOutWithTheirHeader) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    const FrameHeader header{.flags = 1,
                             .gso_type = FrameHeader::kGsoTcp4,
                             .header_length = 54,
                             .gso_size = 1448,
                             .checksum_start = 34,
                             .checksum_offset = 16};
    const std::string frame = frame_of(60000);

    b.send(frame, header);

    const auto got = b.wire().take();
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->header, header);
    EXPECT_EQ(got->bytes, frame);
}

TEST_P(NetTest, ReceivedFrameIsInTheBuffer) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    const Gpa at = b.give_room(2048);
    b.rig.kick(kRx);
    const std::string frame = frame_of(1514);

    ASSERT_TRUE(b.wire().put(frame));

    const auto used = b.rig.wait_used(kRx);
    ASSERT_TRUE(used.has_value());
    EXPECT_EQ(used->length, 1526u);
    EXPECT_EQ(b.rig.memory().text(Gpa{at.value() + 12}, 1514), frame);
    EXPECT_EQ(b.header_at(at), FrameHeader{.num_buffers = 1});
    EXPECT_TRUE(b.rig.interrupted(kRx));
    EXPECT_GE(b.rig.interrupts(kRx), 1);
}

TEST_P(NetTest, ReceivedHeaderTellsOfUndoneChecksums) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    const Gpa at = b.give_room(2048);
    b.rig.kick(kRx);

    ASSERT_TRUE(b.wire().put(frame_of(60), {.flags = 2}));

    ASSERT_TRUE(b.rig.wait_used(kRx).has_value());
    EXPECT_EQ(b.header_at(at).flags, 2);
}

TEST_P(NetTest, FlagsAreZeroForADriverWithoutChecksums) {
    Bench b = started(kAllGuest);
    ASSERT_TRUE(b.rig.start());
    const Gpa at = b.give_room(2048);
    b.rig.kick(kRx);

    ASSERT_TRUE(b.wire().put(frame_of(60), {.flags = 2}));

    ASSERT_TRUE(b.rig.wait_used(kRx).has_value());
    EXPECT_EQ(b.header_at(at), FrameHeader{.num_buffers = 1});
    EXPECT_EQ(b.host.used(), FrameOffloads{});
}

TEST_P(NetTest, LargeFrameIsMergedOverBuffers) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    std::vector<Gpa> at;
    for (int i = 0; i < 64; ++i)
        at.push_back(b.give_room(1500));
    b.rig.kick(kRx);
    const std::string frame = frame_of(60000);

    ASSERT_TRUE(b.wire().put(frame));

    // 60012 bytes: 40 buffers whole, 12 bytes in the next.
    std::string got;
    for (std::size_t i = 0; i < 41; ++i) {
        const auto used = b.rig.wait_used(kRx);
        ASSERT_TRUE(used.has_value()) << i;
        EXPECT_EQ(used->length, i < 40 ? 1500u : 12u);
        got += b.rig.memory().text(at[i], used->length);
    }
    EXPECT_EQ(b.header_at(at[0]), FrameHeader{.num_buffers = 41});
    EXPECT_EQ(got.substr(12), frame);
    EXPECT_FALSE(b.rig.queue(kRx).collect().has_value());

    // The rest of the buffers takes the next frame.
    ASSERT_TRUE(b.wire().put(frame_of(100, 1)));
    ASSERT_EQ(b.rig.wait_used(kRx)->length, 112u);
    EXPECT_EQ(b.rig.memory().text(Gpa{at[41].value() + 12}, 100), frame_of(100, 1));
}

TEST_P(NetTest, FrameWaitsForTheBuffersThatItLacks) {
    const DeviceRig::Options driver{.kind = GetParam()};
    Bench b{driver, 1, {.patience = std::chrono::milliseconds{900}}};
    ASSERT_TRUE(b.rig.start());
    // The driver has shown that it gives eight buffers...
    std::vector<Gpa> at;
    for (int i = 0; i < 8; ++i)
        at.push_back(b.give_room(1500));
    b.rig.kick(kRx);
    ASSERT_TRUE(b.wire().put(frame_of(1488 + 5 * 1500)));
    for (int i = 0; i < 6; ++i)
        ASSERT_TRUE(b.rig.wait_used(kRx).has_value());

    // ... and two are left when a frame of four comes.
    const std::string frame = frame_of(1488 + 3 * 1500, 2);
    ASSERT_TRUE(b.wire().put(frame));
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    EXPECT_EQ(b.net->traffic().receive_dropped, 0u);
    EXPECT_FALSE(b.rig.queue(kRx).collect().has_value());
    at.push_back(b.give_room(1500));
    at.push_back(b.give_room(1500));
    EXPECT_TRUE(b.rig.kick_if_wanted(kRx));

    std::string got;
    for (std::size_t i = 6; i < 10; ++i) {
        const auto used = b.rig.wait_used(kRx);
        ASSERT_TRUE(used.has_value());
        got += b.rig.memory().text(at[i], used->length);
    }
    EXPECT_EQ(got.substr(12), frame);
    EXPECT_EQ(b.header_at(at[6]).num_buffers, 4);
}

TEST_P(NetTest, FrameThatWaitsInVainIsDroppedAndTheNextArrives) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    // As above, but the driver adds buffers only after it was given a frame.
    std::vector<Gpa> at;
    for (int i = 0; i < 8; ++i)
        at.push_back(b.give_room(1500));
    b.rig.kick(kRx);
    ASSERT_TRUE(b.wire().put(frame_of(1488 + 5 * 1500)));
    for (int i = 0; i < 6; ++i)
        ASSERT_TRUE(b.rig.wait_used(kRx).has_value());

    ASSERT_TRUE(b.wire().put(frame_of(1488 + 3 * 1500, 2)));
    ASSERT_TRUE(b.wire().put(frame_of(60, 3)));

    ASSERT_TRUE(b.rig.wait_used(kRx).has_value());
    EXPECT_EQ(b.rig.memory().text(Gpa{at[6].value() + 12}, 60), frame_of(60, 3));
    EXPECT_EQ(b.net->traffic().receive_dropped, 1u);

    // And so once more, with one buffer left.
    ASSERT_TRUE(b.wire().put(frame_of(1488 + 1500, 4)));
    ASSERT_TRUE(b.wire().put(frame_of(60, 5)));
    ASSERT_TRUE(b.rig.wait_used(kRx).has_value());
    EXPECT_EQ(b.rig.memory().text(Gpa{at[7].value() + 12}, 60), frame_of(60, 5));
    EXPECT_EQ(b.net->traffic().receive_dropped, 2u);
}

TEST_P(NetTest, WithoutMergingAFrameHasItsOwnBuffer) {
    Bench b = started(f::kMrgRxbuf | kAllGuest);
    ASSERT_TRUE(b.rig.start());
    const Gpa small = b.give_room(1526);
    b.rig.kick(kRx);

    // Too large for the driver's buffer: lost. The next one fits.
    ASSERT_TRUE(b.wire().put(frame_of(1515)));
    ASSERT_TRUE(b.wire().put(frame_of(1514, 1)));

    ASSERT_EQ(b.rig.wait_used(kRx)->length, 1526u);
    EXPECT_EQ(b.rig.memory().text(Gpa{small.value() + 12}, 1514), frame_of(1514, 1));
    EXPECT_EQ(b.net->traffic().receive_dropped, 1u);
}

TEST_P(NetTest, ManyFramesInBothDirectionsArriveInOrder) {
    Bench b = started(0, 1, 16);
    ASSERT_TRUE(b.rig.start());
    ReceiveBuffers buffers{b, 16, 2048};
    const Gpa out = b.rig.room(4096);

    for (unsigned i = 0; i < 1000; ++i) {
        const std::string frame = frame_of(60 + i % 1400, i);
        ASSERT_TRUE(b.wire().put(frame));
        ASSERT_EQ(buffers.take(), frame) << i;

        std::memcpy(b.rig.memory().host(Gpa{out.value() + 12}, frame.size()), frame.data(),
                    frame.size());
        b.rig.queue(kTx).add({{out, static_cast<std::uint32_t>(12 + frame.size())}});
        b.rig.kick_if_wanted(kTx);
        const auto got = b.wire().take();
        ASSERT_TRUE(got.has_value()) << i;
        ASSERT_EQ(got->bytes, frame) << i;
        ASSERT_TRUE(b.rig.wait_used(kTx).has_value());
    }
    EXPECT_EQ(b.net->traffic().received, 1000u);
    EXPECT_EQ(b.net->traffic().sent, 1000u);
}

// Whether and when the device rests is the clock's business; nothing may be lost by it.
TEST_P(NetTest, FloodOfShortFramesArrivesInOrderAndSoDoesTheFrameBehindIt) {
    constexpr unsigned kFrames = 20'000;
    Bench b = started(0, 1, 256);
    ASSERT_TRUE(b.rig.start());
    ReceiveBuffers buffers{b, 256, 128};

    unsigned sent = 0;
    for (unsigned received = 0; received < kFrames; ++received) {
        while (sent < std::min(received + 64, kFrames) && b.wire().put(frame_of(60, sent)))
            ++sent;
        ASSERT_EQ(buffers.take(), frame_of(60, received)) << received;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{20});

    ASSERT_TRUE(b.wire().put(frame_of(60, kFrames)));
    ASSERT_EQ(buffers.take(), frame_of(60, kFrames));
    b.wire().cut();
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.rig.config_interrupts() > 0; }));
}

TEST_P(NetTest, TransmitQueueWaitsForAFullHostAndGoesOn) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    const std::string frame = frame_of(32000);
    for (unsigned i = 0; i < 64; ++i)
        b.send(frame);

    // Nobody took anything: not all of 2 MB fits, and the thread sleeps.
    ASSERT_TRUE(DeviceRig::wait_until([&] { return b.net->traffic().sent > 0; }));
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    const int tries = b.host.sends;
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    EXPECT_LT(b.net->traffic().sent, 64u);
    EXPECT_EQ(b.host.sends, tries);

    for (unsigned i = 0; i < 64; ++i) {
        const auto got = b.wire().take();
        ASSERT_TRUE(got.has_value()) << i;
        EXPECT_EQ(got->bytes.size(), 32000u);
    }
    for (unsigned i = 0; i < 64; ++i)
        ASSERT_TRUE(b.rig.wait_used(kTx).has_value()) << i;
    EXPECT_EQ(b.net->traffic().send_dropped, 0u);
}

TEST_P(NetTest, PairsAreSetByTheDriver) {
    Bench b = started(0, 4);
    ASSERT_TRUE(b.rig.start());
    ASSERT_TRUE(DeviceRig::wait_until([&] { return b.host.active == 1; }));

    EXPECT_EQ(b.command("\x04\x00\x03\x00"s, 8), 0);

    EXPECT_EQ(b.host.active, 3u);
    for (std::uint16_t pair = 0; pair < 3; ++pair) {
        const auto rx = static_cast<std::uint16_t>(2 * pair);
        b.give_room(2048, rx);
        b.rig.kick(rx);
        ASSERT_TRUE(b.wire(pair).put(frame_of(60)));
        EXPECT_EQ(b.rig.wait_used(rx)->length, 72u);
        b.send(frame_of(60), {}, static_cast<std::uint16_t>(rx + 1));
        EXPECT_TRUE(b.wire(pair).take().has_value());
    }
}

TEST_P(NetTest, QueueOfAnUnusedPairWaitsUntilItIsUsed) {
    Bench b = started(0, 2);
    ASSERT_TRUE(b.rig.start());
    b.send(frame_of(60), {}, 3);
    b.send(frame_of(60), {}, 1);
    ASSERT_TRUE(b.wire(0).take().has_value());
    EXPECT_FALSE(b.wire(1).take_now().has_value());

    EXPECT_EQ(b.command("\x04\x00\x02\x00"s, 4), 0);

    EXPECT_TRUE(b.wire(1).take().has_value());
}

TEST_P(NetTest, ControlQueueIsTheThirdWithoutMultiqueue) {
    Bench b = started(f::kMq, 2);
    ASSERT_TRUE(b.rig.start());

    EXPECT_EQ(b.command("\x00\x00\x01"s, 2), 0);
    EXPECT_EQ(b.command("\x04\x00\x02\x00"s, 2), 1);
}

TEST_P(NetTest, AddressSetByTheDriverLastsUntilReset) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());

    EXPECT_EQ(b.command("\x01\x01\x02\x00\x00\x00\x00\x07"s, 2), 0);

    EXPECT_EQ((b.rig.config<MacAddress>(0)), (MacAddress{2, 0, 0, 0, 0, 7}));
    ASSERT_TRUE(b.rig.reset());
    EXPECT_EQ((b.rig.config<MacAddress>(0)), kMac);
}

TEST_P(NetTest, GuestOffloadsFollowTheControlQueue) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    ASSERT_TRUE(DeviceRig::wait_until(
        [&] { return b.host.used() == FrameOffloads{true, true, true, true, true, true}; }));

    EXPECT_EQ(b.command("\x05\x00\x02\x00\x00\x00\x00\x00\x00\x00"s, 2), 0);

    EXPECT_EQ(b.host.used(), FrameOffloads{.checksum = true});
}

TEST_P(NetTest, CommandsThatChangeNothingDoNotReachTheHost) {
    Bench b = started(0, 2);
    ASSERT_TRUE(b.rig.start());
    EXPECT_EQ(b.command("\x05\x00\x02\x00\x00\x00\x00\x00\x00\x00"s, 4), 0);
    ASSERT_EQ(b.host.uses, 2u);  // at the start, and now

    EXPECT_EQ(b.command("\x05\x00\x02\x00\x00\x00\x00\x00\x00\x00"s, 4), 0);
    EXPECT_EQ(b.command("\x04\x00\x01\x00"s, 4), 0);

    EXPECT_EQ(b.host.uses, 2u);
    EXPECT_EQ(b.host.activations, 1u);
}

TEST_P(NetTest, ResetDoesNotWaitForAllCommands) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    const Gpa ack = b.rig.room(1);
    const std::array commands{b.rig.put("\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00"s),
                              b.rig.put("\x05\x00\x02\x00\x00\x00\x00\x00\x00\x00"s)};
    ASSERT_TRUE(DeviceRig::wait_until([&] { return b.host.uses == 1; }));
    b.host.use_takes_ms = 20;
    for (unsigned i = 0; i < 20; ++i)
        b.rig.queue(2).add({{commands[i % 2], 10}, {ack, 1, true}});
    b.rig.kick(2);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return b.host.uses > 2; }));

    ASSERT_TRUE(b.rig.reset());

    EXPECT_LT(b.host.uses, 15u);
}

TEST_P(NetTest, LinkChangesReachTheDriver) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());

    b.host.set_link_up(false);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.rig.config<std::uint16_t>(6) == 0; }));
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.rig.config_interrupts() == 1; }));

    b.host.set_link_up(true);
    // Up again, and the driver should say where it is.
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.rig.config<std::uint16_t>(6) == 3; }));
    EXPECT_EQ(b.command("\x03\x00"s, 2), 0);
    EXPECT_EQ(b.rig.config<std::uint16_t>(6), 1);
}

TEST_P(NetTest, CableCanBePulled) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    b.net->set_link(false);
    EXPECT_EQ(b.rig.config<std::uint16_t>(6), 0);
    b.net->set_link(true);
    EXPECT_EQ(b.rig.config<std::uint16_t>(6), 3);
}

TEST_P(NetTest, LinkThatWasDownBeforeTheDriverCameIsSeen) {
    auto backend = std::make_unique<FakeNetBackend>();
    backend->set_link_up(false);
    Bench b{std::move(backend), {.kind = GetParam()}, {}};
    EXPECT_EQ(b.rig.config<std::uint16_t>(6), 0);
    ASSERT_TRUE(b.rig.start());
    b.host.set_link_up(true);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return (b.rig.config<std::uint16_t>(6) & 1) == 1; }));
}

TEST_P(NetTest, HostThatGoesAwayIsALinkThatIsDown) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    b.give_room(2048);
    b.rig.kick(kRx);

    b.wire().cut();

    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.rig.config<std::uint16_t>(6) == 0; }));
    // What the driver sends is taken and dropped.
    for (unsigned i = 0; i < 300; ++i) {
        b.send(frame_of(60));
        ASSERT_TRUE(b.rig.wait_used(kTx).has_value()) << i;
    }
    EXPECT_EQ(b.net->traffic().send_dropped, 300u);
    EXPECT_EQ(b.rig.status() & virtio::status::kNeedsReset, 0);
    ASSERT_TRUE(b.rig.reset());
    ASSERT_TRUE(b.rig.start());
    b.send(frame_of(60));
    EXPECT_TRUE(b.rig.wait_used(kTx).has_value());
}

TEST_P(NetTest, HostThatOnlyStopsSendingTakesNoMoreFrames) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    b.give_room(2048);
    b.rig.kick(kRx);
    // More than fits, and nobody takes it.
    for (unsigned i = 0; i < 64; ++i)
        b.send(frame_of(32000));
    ASSERT_TRUE(DeviceRig::wait_until([&] { return b.net->traffic().sent > 0; }));
    std::this_thread::sleep_for(std::chrono::milliseconds{20});

    b.wire().stop_sending();

    for (unsigned i = 0; i < 64; ++i)
        ASSERT_TRUE(b.rig.wait_used(kTx).has_value()) << i;
    EXPECT_GT(b.net->traffic().send_dropped, 0u);
}

TEST_P(NetTest, LostHostIsSeenWithoutAnyBuffers) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    b.wire().cut();
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.rig.config<std::uint16_t>(6) == 0; }));
}

TEST_P(NetTest, ResetForgetsBuffersAndTheDeviceRunsAgain) {
    Bench b = started();
    for (unsigned round = 0; round < 5; ++round) {
        ASSERT_TRUE(b.rig.start());
        const Gpa at = b.give_room(2048);
        b.give_room(2048);
        b.rig.kick(kRx);
        ASSERT_TRUE(b.wire().put(frame_of(60, round)));
        ASSERT_EQ(b.rig.wait_used(kRx)->length, 72u);
        EXPECT_EQ(b.rig.memory().text(Gpa{at.value() + 12}, 60), frame_of(60, round));
        b.send(frame_of(60, round));
        EXPECT_EQ(b.wire().take()->bytes, frame_of(60, round));
        ASSERT_TRUE(b.rig.reset());
    }
}

TEST_P(NetTest, SingleQueueCanBeResetAndComesBack) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    b.give_room(2048);
    b.rig.kick(kRx);
    ASSERT_TRUE(b.rig.reset_queue(kRx));
    ASSERT_TRUE(b.rig.reset_queue(kTx));

    ASSERT_TRUE(b.wire().put(frame_of(60)));
    b.rig.set_up_queue(kRx);
    b.rig.set_up_queue(kTx);
    b.give_room(2048);
    b.rig.kick(kRx);

    EXPECT_EQ(b.rig.wait_used(kRx)->length, 72u);
    b.send(frame_of(60));
    EXPECT_TRUE(b.wire().take().has_value());
}

TEST_P(NetTest, WorksInOrder) {
    Bench b{DeviceRig::Options{.kind = GetParam(), .size = 8, .in_order = true}};
    ASSERT_TRUE(b.rig.start());
    for (unsigned i = 0; i < 50; ++i) {
        b.give_room(2048);
        b.rig.kick(kRx);
        ASSERT_TRUE(b.wire().put(frame_of(60)));
        ASSERT_EQ(b.rig.wait_used(kRx)->length, 72u);
        b.send(frame_of(60));
        ASSERT_TRUE(b.wire().take().has_value());
        ASSERT_TRUE(b.rig.wait_used(kTx).has_value());
    }
}

TEST_P(NetTest, ManySendsInterruptSeldom) {
    Bench b = started();
    ASSERT_TRUE(b.rig.start());
    b.rig.queue(kTx).want_interrupt_after(0);
    std::string all(12 + 60, '\0');
    const Gpa at = b.rig.put(all);
    for (int i = 0; i < 100; ++i)
        b.rig.queue(kTx).add({{at, 72}});
    b.rig.kick(kTx);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return b.net->traffic().sent == 100; }));
    EXPECT_LE(b.rig.interrupts(kTx), 1);
}

}  // namespace
}  // namespace vmm::virtio_net
