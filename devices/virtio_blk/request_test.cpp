// SPDX-License-Identifier: Apache-2.0
#include "virtio_blk/request.hpp"

#include "support/flat_guest_memory.hpp"

namespace vmm::virtio_blk {
namespace {

TEST(AnswerTest, CountsUpToTheFirstGap) {
    test::FlatGuestMemory memory{4096};
    const Reply reply{.status = Gpa{100}, .room = 512};

    EXPECT_EQ(answer(reply, Status::Ok, 512, memory), 513u);
    EXPECT_EQ(answer(reply, Status::IoError, 0, memory), 0u);
    EXPECT_EQ(memory.read<std::uint8_t>(Gpa{100}), 1);
    EXPECT_EQ(answer({.status = Gpa{100}, .room = 0}, Status::Unsupported, 0, memory), 1u);
    EXPECT_EQ(memory.read<std::uint8_t>(Gpa{100}), 2);
    EXPECT_EQ(answer({}, Status::Ok, 512, memory), 0u);
}

TEST(ParseTest, SegmentAcrossTwoRegionsOfRamIsTwoPieces) {
    test::FlatGuestMemory memory{{Gpa{0}, 0x1000}, {Gpa{0x1000}, 0x1000}};
    ASSERT_TRUE(memory.write(Gpa{0}, std::uint64_t{0}));  // a read
    ASSERT_TRUE(memory.write(Gpa{8}, std::uint64_t{7}));  // of sector 7
    const auto chain = std::make_unique<virtio::Chain>();
    ASSERT_TRUE(chain->add(Gpa{0}, 16, false));
    ASSERT_TRUE(chain->add(Gpa{0xe00}, 1025, true));
    std::array<iovec, 4> pieces{};
    BlockRequest request;

    const Parsed parsed = parse(*chain, memory, {.sectors = 9}, std::span{pieces}, request);

    ASSERT_EQ(parsed.action, Parsed::Action::Submit);
    EXPECT_EQ(parsed.reply.status, Gpa{0x1200});
    EXPECT_EQ(request.kind, BlockRequest::Kind::Read);
    EXPECT_EQ(request.offset, 3584u);
    EXPECT_EQ(request.length, 1024u);
    ASSERT_EQ(request.iovecs.size(), 2u);
    EXPECT_EQ(request.iovecs[0].iov_base, memory.host(Gpa{0xe00}));
    EXPECT_EQ(request.iovecs[0].iov_len, 512u);
    EXPECT_EQ(request.iovecs[1].iov_base, memory.host(Gpa{0x1000}));
}

}  // namespace
}  // namespace vmm::virtio_blk
