// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/control.hpp"

#include <string>

#include "support/flat_guest_memory.hpp"
#include "virtio_net/mac.hpp"
#include "virtio_net/wire.hpp"

namespace vmm::virtio_net {
namespace {

using namespace std::string_literals;

constexpr virtio::Features kAll = f::kCtrlVq | f::kMq | f::kCtrlRx | f::kCtrlRxExtra |
                                  f::kCtrlMacAddr | f::kGuestAnnounce | f::kCtrlGuestOffloads |
                                  f::kGuestCsum | f::kGuestTso4;

struct RecordingTarget final : ControlTarget {
    bool set_pairs(std::uint16_t to) noexcept override {
        pairs = to;
        return to >= 1 && to <= 4;
    }
    void set_mac(const MacAddress& to) noexcept override { mac = mac_text(to); }
    void acknowledge_announcement() noexcept override { ++acknowledged; }
    void set_guest_offloads(virtio::Features to) noexcept override { offloads = to; }

    int pairs = -1;
    std::string mac;
    int acknowledged = 0;
    virtio::Features offloads = 0xdead;
};

struct ControlTest : testing::Test {
    std::uint8_t run(std::string_view command, virtio::Features features = kAll) {
        std::memcpy(memory.host(Gpa{0x100}, command.size() + 1), command.data(), command.size());
        const virtio::Segment segment{Gpa{0x100}, static_cast<std::uint32_t>(command.size())};
        return run_command(virtio::Cursor{std::span{&segment, 1}, Transfer::FromGuest}, memory,
                           features, target);
    }

    test::FlatGuestMemory memory{0x10000};
    RecordingTarget target;
};

TEST_F(ControlTest, PairsAreSet) {
    EXPECT_EQ(run("\x04\x00\x03\x00"s), 0);
    EXPECT_EQ(target.pairs, 3);
    EXPECT_EQ(run("\x04\x00\x05\x00"s), 1);
    EXPECT_EQ(run("\x04\x00\x00\x00"s), 1);
}

TEST_F(ControlTest, ReceiveModesAreAccepted) {
    for (char command = 0; command <= 5; ++command)
        EXPECT_EQ(run("\x00"s + command + "\x01"s), 0);
    EXPECT_EQ(run("\x00\x06\x01"s), 1);
}

TEST_F(ControlTest, AddressIsSet) {
    EXPECT_EQ(run("\x01\x01\x52\x54\x00\x12\x34\x56"s), 0);
    EXPECT_EQ(target.mac, "52:54:00:12:34:56");
}

TEST_F(ControlTest, AddressTablesAreAccepted) {
    EXPECT_EQ(run("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"s), 0);
    EXPECT_EQ(run("\x01\x00\x01\x00\x00\x00"s + "abcdef"s + "\x02\x00\x00\x00"s + "ghijklmnopqr"s),
              0);
}

TEST_F(ControlTest, AnnouncementIsAcknowledged) {
    EXPECT_EQ(run("\x03\x00"s), 0);
    EXPECT_EQ(target.acknowledged, 1);
}

TEST_F(ControlTest, GuestOffloadsAreSet) {
    EXPECT_EQ(run("\x05\x00\x82\x00\x00\x00\x00\x00\x00\x00"s), 0);
    EXPECT_EQ(target.offloads, f::kGuestCsum | f::kGuestTso4);
    EXPECT_EQ(run("\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00"s), 0);
    EXPECT_EQ(target.offloads, 0u);
}

TEST_F(ControlTest, Row20OffloadsThatWereNotNegotiatedAreRefused) {
    EXPECT_EQ(run("\x05\x00\x02\x01\x00\x00\x00\x00\x00\x00"s), 1);  // TSO6
    EXPECT_EQ(target.offloads, 0xdeadu);
}

TEST_F(ControlTest, Row20CommandsThatWereNotNegotiatedAreRefused) {
    for (const auto& command :
         {"\x00\x00\x01"s, "\x00\x02\x01"s, "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"s,
          "\x01\x01\x52\x54\x00\x12\x34\x56"s, "\x03\x00"s, "\x04\x00\x01\x00"s,
          "\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00"s})
        EXPECT_EQ(run(command, f::kCtrlVq), 1);
    EXPECT_EQ(target.pairs, -1);
    EXPECT_EQ(target.mac, "");
    EXPECT_EQ(target.acknowledged, 0);
    EXPECT_EQ(target.offloads, 0xdeadu);
}

TEST_F(ControlTest, UnknownCommandsAreRefused) {
    for (const auto& command : {"\x02\x00\x01\x00"s, "\x06\x00"s, "\xff\xff"s, "\x01\x02"s,
                                "\x03\x01"s, "\x04\x01\x01\x00"s, "\x05\x01"s})
        EXPECT_EQ(run(command), 1);
}

TEST_F(ControlTest, ShortCommandsAreRefused) {
    for (const auto& command : {""s, "\x00"s, "\x00\x00"s, "\x01\x01\x52\x54\x00\x12\x34"s,
                                "\x04\x00\x01"s, "\x05\x00\x82\x00\x00\x00\x00\x00\x00"s})
        EXPECT_EQ(run(command), 1);
    EXPECT_EQ(target.mac, "");
}

TEST_F(ControlTest, Row06TableWhoseLengthWrapsIsRefused) {
    EXPECT_EQ(run("\x01\x00\xff\xff\xff\xff"s + std::string(64, 'x')), 1);
    EXPECT_EQ(run("\x01\x00\xab\xaa\xaa\x2a"s + std::string(64, 'x')), 1);  // * 6 = 2^32 + 2
    EXPECT_EQ(run("\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00"s), 1);
}

}  // namespace
}  // namespace vmm::virtio_net
