// SPDX-License-Identifier: Apache-2.0
// In how many pieces a frame is read from the host's side.
#include <gtest/gtest.h>

#include "virtio_net/net_test_support.hpp"

namespace vmm::virtio_net {
namespace {

struct ReceiveTest : testing::TestWithParam<RingKind> {};

INSTANTIATE_TEST_SUITE_P(Rings, ReceiveTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& kind) {
                             return kind.param == RingKind::Split ? "Split" : "Packed";
                         });

TEST_P(ReceiveTest, HostIsGivenBuffersThatTouchAsOnePiece) {
    Bench b{DeviceRig::Options{.kind = GetParam()}};
    ASSERT_TRUE(b.rig.start());
    constexpr std::uint32_t kEach = 1024;
    constexpr std::size_t kHoles = 16;  // a buffer that touches no other, after so many
    std::vector<Gpa> at;
    for (std::size_t i = 0; i < 224; ++i) {
        if (i % kHoles == 0)
            (void)b.rig.room(kEach);
        at.push_back(b.give_room(kEach));
    }
    b.rig.kick(kRx);

    const auto buffers = std::size_t{32};
    for (std::size_t first = 0; first + buffers <= at.size(); first += buffers) {
        const std::string frame =
            frame_of(buffers * kEach - FrameHeader::kSize, static_cast<unsigned>(first));
        ASSERT_TRUE(b.wire().put(frame));
        std::string got;
        for (std::size_t i = first; i < first + buffers; ++i) {
            const auto used = b.rig.wait_used(kRx);
            ASSERT_TRUE(used);
            got += b.rig.memory().text(at[i], used->length);
        }
        EXPECT_EQ(got.substr(FrameHeader::kSize), frame) << first;
    }
    // Two runs of buffers that touch, and what a longer frame would need.
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.host.pieces_offered == 3u; }))
        << b.host.pieces_offered;
}

TEST_P(ReceiveTest, HostIsGivenAsManyPiecesAsFramesNeed) {
    Bench b{DeviceRig::Options{.kind = GetParam()}};
    ASSERT_TRUE(b.rig.start());
    std::vector<Gpa> at;
    for (int i = 0; i < 64; ++i)
        at.push_back(b.give_room(1500));
    b.rig.kick(kRx);

    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(b.wire().put(frame_of(100)));
        EXPECT_EQ(b.rig.wait_used(kRx)->length, 112u);
    }
    EXPECT_EQ(b.host.pieces_offered, 1u);

    const std::string large = frame_of(20 * 1500, 3);
    for (std::size_t first = 3; first < 45; first += 21) {
        ASSERT_TRUE(b.wire().put(large));
        std::string got;
        for (std::size_t i = first; i < first + 21; ++i)
            got += b.rig.memory().text(at[i], b.rig.wait_used(kRx)->length);
        EXPECT_EQ(got.substr(12), large);
    }
    EXPECT_TRUE(DeviceRig::wait_until([&] { return b.host.pieces_offered == 20u; }));
}

}  // namespace
}  // namespace vmm::virtio_net
