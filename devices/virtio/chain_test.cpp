// SPDX-License-Identifier: Apache-2.0
#include "virtio/chain.hpp"

#include <array>
#include <numeric>
#include <vector>

#include "support/flat_guest_memory.hpp"

namespace vmm::virtio {
namespace {

using test::FlatGuestMemory;

struct CursorTest : testing::Test {
    CursorTest() {
        std::array<std::uint8_t, 0x100> bytes{};
        std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
        EXPECT_TRUE(memory.write(Gpa{0x1000}, bytes));
    }
    FlatGuestMemory memory{0x10000};
    // 3 bytes, 1 byte, 12 bytes: 0,1,2, 0x10, 0x20...0x2b
    std::array<Segment, 3> segments{Segment{Gpa{0x1000}, 3}, Segment{Gpa{0x1010}, 1},
                                    Segment{Gpa{0x1020}, 12}};
    Cursor cursor{segments, Transfer::FromGuest};
    Cursor writer{segments, Transfer::ToGuest};
};

TEST_F(CursorTest, ReadsAcrossSegments) {
    EXPECT_EQ(cursor.remaining(), 16u);
    EXPECT_EQ(cursor.read<std::uint16_t>(memory), 0x0100);
    EXPECT_EQ(cursor.read<std::uint32_t>(memory), 0x2120'1002u);
    EXPECT_EQ(cursor.remaining(), 10u);
}

TEST_F(CursorTest, Row13HeaderSplitInAllWaysReadsTheSame) {
    for (std::uint32_t first = 0; first <= 8; ++first) {
        const std::array<Segment, 2> halves{Segment{Gpa{0x1000}, first},
                                            Segment{Gpa{0x1000 + first}, 8 - first}};
        Cursor split{halves, Transfer::FromGuest};
        EXPECT_EQ(split.read<std::uint64_t>(memory), 0x0706'0504'0302'0100u) << first;
        EXPECT_EQ(split.remaining(), 0u);
    }
}

TEST_F(CursorTest, Row13ReadPastTheEndIsRefused) {
    ASSERT_TRUE(cursor.skip(9));

    EXPECT_EQ(cursor.read<std::uint64_t>(memory), std::nullopt);
}

TEST_F(CursorTest, WritesAcrossSegments) {
    ASSERT_TRUE(writer.write(memory, std::uint64_t{0x8877'6655'4433'2211}));

    EXPECT_EQ(memory.read<std::uint32_t>(Gpa{0x1000}), 0x0333'2211u);
    EXPECT_EQ(memory.read<std::uint8_t>(Gpa{0x1010}), 0x44);
    EXPECT_EQ(memory.read<std::uint32_t>(Gpa{0x1020}), 0x8877'6655u);
}

TEST_F(CursorTest, IovecsPointIntoRamWithoutACopy) {
    std::array<iovec, 4> out{};
    ASSERT_TRUE(cursor.skip(1));

    const auto count = cursor.iovecs(memory, 4, out);

    ASSERT_EQ(count, 3u);
    EXPECT_EQ(out[0].iov_base, memory.host(Gpa{0x1001}));
    EXPECT_EQ(out[0].iov_len, 2u);
    EXPECT_EQ(out[1].iov_len, 1u);
    EXPECT_EQ(out[2].iov_base, memory.host(Gpa{0x1020}));
    EXPECT_EQ(out[2].iov_len, 1u);
}

TEST_F(CursorTest, Row09IovecsThatDoNotFitAreRefused) {
    std::array<iovec, 2> out{};

    EXPECT_EQ(cursor.iovecs(memory, 16, out), std::nullopt);
}

TEST_F(CursorTest, Row09IovecsOutsideOfRamAreRefused) {
    const std::array<Segment, 1> outside{Segment{Gpa{0xfff0}, 0x11}};
    std::array<iovec, 2> out{};

    Cursor beyond{outside, Transfer::FromGuest};

    EXPECT_EQ(beyond.iovecs(memory, 0x11, out), std::nullopt);
}

/// Says which way its payload goes.
class DirectedMemory final : public GuestMemory {
public:
    explicit DirectedMemory(FlatGuestMemory& memory) : memory_{memory} {}
    bool copy_in(Gpa from, std::span<std::byte> to) const noexcept override {
        return memory_.copy_in(from, to);
    }
    bool copy_out(Gpa to, std::span<const std::byte> from) noexcept override {
        return memory_.copy_out(to, from);
    }
    std::optional<std::size_t> host_iovecs(Gpa at, std::uint64_t length, Transfer transfer,
                                           std::span<iovec> out) const noexcept override {
        seen = transfer;
        return memory_.host_iovecs(at, length, transfer, out);
    }
    GuestView view(Gpa at, std::uint64_t length) const noexcept override {
        return memory_.view(at, length);
    }
    mutable std::optional<Transfer> seen;

private:
    FlatGuestMemory& memory_;
};

TEST_F(CursorTest, ChainSaysWhichWayItsPayloadGoes) {
    Chain chain;
    chain.clear();
    ASSERT_TRUE(chain.add(Gpa{0x1000}, 8, false));
    ASSERT_TRUE(chain.add(Gpa{0x2000}, 8, true));
    DirectedMemory directed{memory};
    std::array<iovec, 2> out{};

    EXPECT_EQ(chain.reader().iovecs(directed, 8, out), 1u);
    EXPECT_EQ(directed.seen, Transfer::FromGuest);
    EXPECT_EQ(chain.writer().iovecs(directed, 8, out), 1u);
    EXPECT_EQ(directed.seen, Transfer::ToGuest);
    auto tail = chain.writer().split_tail(1);
    ASSERT_TRUE(tail);
    EXPECT_EQ(tail->iovecs(directed, 1, out), 1u);
    EXPECT_EQ(directed.seen, Transfer::ToGuest);
}

using CursorDeathTest = CursorTest;

TEST_F(CursorDeathTest, WrongWayIsOurOwnBug) {
    std::array<std::byte, 2> bytes{};

    EXPECT_DEATH((void)writer.copy_in(memory, bytes), "FromGuest");
    EXPECT_DEATH((void)cursor.copy_out(memory, bytes), "ToGuest");
}

TEST_F(CursorTest, TailIsSplitOffAcrossSegments) {
    auto tail = cursor.split_tail(13);

    ASSERT_TRUE(tail);
    EXPECT_EQ(cursor.remaining(), 3u);
    EXPECT_EQ(tail->remaining(), 13u);
    EXPECT_EQ(tail->read<std::uint16_t>(memory), 0x2010);
    EXPECT_FALSE(cursor.skip(4));
}

TEST_F(CursorTest, TailLongerThanTheRestIsRefused) {
    EXPECT_EQ(cursor.split_tail(17), std::nullopt);
}

TEST(ChainTest, Row06LengthsAreSummedWithoutWrapping) {
    auto chain = std::make_unique<Chain>();
    EXPECT_TRUE(chain->add(Gpa{0}, 0xffff'ffff, false));
    EXPECT_TRUE(chain->add(Gpa{0}, 1, false));
    EXPECT_FALSE(chain->add(Gpa{0}, 1, false));
}

TEST(ChainTest, TakesNoMoreSegmentsThanItHolds) {
    auto chain = std::make_unique<Chain>();
    bool good = true;
    for (std::size_t i = 0; i < Chain::kMaxSegments; ++i)
        good = good && chain->add(Gpa{0}, 1, true);

    EXPECT_TRUE(good);
    EXPECT_FALSE(chain->add(Gpa{0}, 1, true));
}

}  // namespace
}  // namespace vmm::virtio
