// SPDX-License-Identifier: Apache-2.0
// Rings and tables whose pages are at places of their own in the host. What holds for every queue
// is tested over pieces as well, in queue_test.cpp and queue_rules_test.cpp.
#include "virtio/scattered_view.hpp"

#include "virtio/queue_rig.hpp"

namespace vmm::virtio {
namespace {

constexpr std::uint64_t kPage = 4096;

struct ScatteredViewTest : testing::Test {
    FlatGuestMemory flat{kRam};
    GuestMemoryInPieces memory{flat, kRam};
};

TEST_F(ScatteredViewTest, EveryPlaceIsThatOfTheGuest) {
    const Gpa at{kPage - 48};  // five pages
    ScatteredView view{memory, at, ScatteredView::kMaxSize, Transfer::ToGuest};
    ASSERT_TRUE(view);

    for (std::uint32_t offset = 0; offset < ScatteredView::kMaxSize; offset += 4)
        view.store<std::uint32_t>(offset, offset + 1);

    for (std::uint32_t offset = 0; offset < ScatteredView::kMaxSize; offset += 4) {
        ASSERT_EQ(flat.read<std::uint32_t>(Gpa{at.value() + offset}), offset + 1);
        ASSERT_EQ(view.load<std::uint32_t>(offset), offset + 1);
    }
    EXPECT_EQ(flat.read<std::uint32_t>(Gpa{at.value() - 4}), 0u);
    EXPECT_EQ(flat.read<std::uint32_t>(Gpa{at.value() + ScatteredView::kMaxSize}), 0u);
}

TEST_F(ScatteredViewTest, WhatIsNotAllRamOrTooLongIsRefused) {
    EXPECT_FALSE((ScatteredView{memory, Gpa{kRam - 16}, 32, Transfer::FromGuest}));
    EXPECT_FALSE((ScatteredView{memory, Gpa{~std::uint64_t{0} - 15}, 32, Transfer::FromGuest}));
    EXPECT_FALSE((ScatteredView{memory, Gpa{0}, 0, Transfer::FromGuest}));
    EXPECT_FALSE(
        (ScatteredView{memory, Gpa{0}, ScatteredView::kMaxSize + 16, Transfer::FromGuest}));
    EXPECT_TRUE((ScatteredView{memory, Gpa{kRam - 16}, 16, Transfer::FromGuest}));
}

TEST_F(ScatteredViewTest, OffsetsThatAreOursToGetRightAbort) {
    const ScatteredView view{memory, Gpa{kPage - 16}, 32, Transfer::FromGuest};

    EXPECT_DEATH((void)view.load<std::uint64_t>(32), "");
    EXPECT_DEATH((void)view.load<std::uint64_t>(~std::size_t{0} - 7), "");
    EXPECT_DEATH((void)view.load<std::uint64_t>(12), "");  // in two pages
    EXPECT_DEATH((void)view.load<std::uint16_t>(1), "");
    EXPECT_DEATH((void)ScatteredView{}.load<std::uint16_t>(0), "");
    EXPECT_EQ(view.load<std::uint64_t>(24), 0u);
}

/// Cuts RAM where it is told to, and remembers for which direction it was asked.
struct CutMemory final : GuestMemory {
    bool copy_in(Gpa, std::span<std::byte>) const noexcept override { return false; }
    bool copy_out(Gpa, std::span<const std::byte>) noexcept override { return false; }
    GuestView view(Gpa, std::uint64_t) const noexcept override { return {}; }
    std::optional<std::size_t> host_iovecs(Gpa, std::uint64_t length, Transfer transfer,
                                           std::span<iovec> out) const noexcept override {
        asked.push_back(transfer);
        if (out.size() < 2 || cut > length)
            return std::nullopt;
        out[0] = {host, cut};
        out[1] = {host + apart, length - cut};
        return 2;
    }

    alignas(kPage) mutable std::array<std::byte, 4 * kPage> bytes{};
    std::byte* host = bytes.data() + kPage - 64;
    std::size_t cut = 64;
    std::size_t apart = kPage;
    mutable std::vector<Transfer> asked;
};

TEST(ScatteredViewCutTest, PiecesEndWithPagesAndAreAlignedAsInTheGuest) {
    CutMemory memory;
    memory.apart = 2 * kPage + 64;
    const auto good = [&] {
        return static_cast<bool>(
            ScatteredView{memory, Gpa{3 * kPage - 64}, 128, Transfer::FromGuest});
    };
    EXPECT_TRUE(good());

    memory.cut = 32;  // in the middle of a page
    EXPECT_FALSE(good());
    memory.cut = 64;
    memory.apart += 8;
    EXPECT_FALSE(good());
    memory.apart -= 8;
    memory.host += 8;
    EXPECT_FALSE(good());
}

TEST(ScatteredViewCutTest, QueueSaysWhichPartsItWrites) {
    CountingEvents events;
    CutMemory memory;
    const RingConfig config{.size = 8,
                            .descriptors = Gpa{kPage - 64},
                            .driver = Gpa{3 * kPage - 64},
                            .device = Gpa{5 * kPage - 64}};
    Queue queue{0, 8, *EventFd::create(), memory, events};

    memory.cut = 4;  // none of it is good, but all is asked for
    EXPECT_FALSE(queue.start(config, f::kVersion1));
    EXPECT_THAT(memory.asked,
                testing::ElementsAre(Transfer::FromGuest, Transfer::FromGuest, Transfer::ToGuest));
    memory.asked.clear();
    EXPECT_FALSE(queue.start(config, f::kVersion1 | f::kRingPacked));
    EXPECT_THAT(memory.asked,
                testing::ElementsAre(Transfer::ToGuest, Transfer::FromGuest, Transfer::ToGuest));
    EXPECT_FALSE(queue.enabled());
}

struct InPiecesTest : testing::TestWithParam<RingKind> {
    Pair pair{RingCase{GetParam(), true}.options(8)};
};

INSTANTIATE_TEST_SUITE_P(Kinds, InPiecesTest, testing::Values(RingKind::Split, RingKind::Packed));

TEST_P(InPiecesTest, LongestRingWorksAtEveryPlace) {
    FlatGuestMemory flat{kRam};
    GuestMemoryInPieces memory{flat, kRam};
    CountingEvents events;
    const std::uint16_t size = Queue::kMaxSize;
    VirtQueueDriver driver{flat, Gpa{kPage - 16}, {.kind = GetParam(), .size = size}};
    Queue queue{0, size, *EventFd::create(), memory, events};
    const bool packed = GetParam() == RingKind::Packed;
    ASSERT_TRUE(queue.start({.size = size,
                             .descriptors = driver.descriptors(),
                             .driver = driver.driver(),
                             .device = driver.device()},
                            f::kVersion1 | (packed ? f::kRingPacked : 0)));
    Chain chain;
    for (std::uint32_t i = 0; i < 2u * size; ++i) {
        const auto id = driver.add({{kData, 8, true}, {Gpa{kData.value() + i}, 8, true}});
        ASSERT_TRUE(queue.pop(chain)) << i;
        ASSERT_EQ(chain.writable()[1].at, Gpa{kData.value() + i});
        queue.complete(chain.head(), i);
        queue.publish();
        ASSERT_EQ(driver.collect(), (UsedBuffer{id, i}));
    }
    EXPECT_EQ(events.resets, 0);
}

TEST_P(InPiecesTest, TableMayLieInPiecesAndAnywhere) {
    for (const std::uint64_t before : {16u, 40u, 8u}) {  // bytes before the end of a page
        const Gpa table{kTable.value() + kPage - before};
        const auto id = pair.driver.add_indirect(
            {{kData, 16, false}, {Gpa{0x41000}, 512, true}, {Gpa{0x42000}, 1, true}}, table);

        ASSERT_TRUE(pair.queue.pop(pair.chain)) << before;
        EXPECT_EQ(pair.chain.readable_bytes(), 16u);
        ASSERT_EQ(pair.chain.writable().size(), 2u);
        EXPECT_EQ(pair.chain.writable()[0].at, Gpa{0x41000});
        EXPECT_EQ(pair.chain.writable_bytes(), 513u);
        pair.queue.complete(pair.chain.head(), 7);
        pair.queue.publish();
        EXPECT_EQ(pair.driver.collect(), (UsedBuffer{id, 7}));
    }
}

TEST_P(InPiecesTest, TableOfTheLongestChainWorksAndALongerOneDoesNot) {
    std::vector<Buffer> many(Chain::kMaxSegments, Buffer{kData, 1, true});
    pair.driver.add_indirect(many, Gpa{kTable.value() + 16});
    ASSERT_TRUE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.chain.writable().size(), Chain::kMaxSegments);
    pair.queue.complete(pair.chain.head(), 0);
    pair.queue.publish();
    ASSERT_TRUE(pair.driver.collect());

    many.push_back({kData, 1, true});
    const auto id = pair.driver.add_indirect(many, Gpa{kTable.value() + 16});

    EXPECT_FALSE(pair.queue.pop(pair.chain));
    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{id, 0}));
    EXPECT_EQ(pair.events.resets, 0);
}

/// A device in one piece and one in pieces take turns at the same rings.
TEST_P(InPiecesTest, QueueGoesOnWhereOneInOnePieceLeftOff) {
    Queue whole{3, 64, *EventFd::create(), pair.memory, pair.events};
    std::array<Queue*, 2> turns{&pair.queue, &whole};
    for (unsigned i = 0; i < 27; ++i) {  // some laps
        Queue& now = *turns[i % 2];
        const auto id = pair.driver.add({{kData, 8, true}, {kData, 8, true}, {kData, 8, true}});
        ASSERT_TRUE(now.pop(pair.chain)) << i;
        now.complete(pair.chain.head(), i);
        now.publish();
        ASSERT_EQ(pair.driver.collect(), (UsedBuffer{id, i}));

        now.stop();
        ASSERT_TRUE(turns[(i + 1) % 2]->start(now.rings(), pair.features, now.position()));
    }
    EXPECT_EQ(pair.events.resets, 0);
}

TEST_P(InPiecesTest, SameQueueMayStartInOnePieceAndInPieces) {
    VirtQueueDriver together{pair.memory, Gpa{0x20000}, {.kind = GetParam(), .size = 8}};
    const RingConfig in_one_piece{.size = 8,
                                  .descriptors = together.descriptors(),
                                  .driver = together.driver(),
                                  .device = together.device()};
    pair.queue.stop();
    ASSERT_TRUE(pair.queue.start(in_one_piece, pair.features));
    const auto id = together.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve(3));
    EXPECT_EQ(together.collect(), (UsedBuffer{id, 3}));

    pair.queue.stop();
    ASSERT_TRUE(pair.queue.start(pair.config(), pair.features));
    const auto in_pieces = pair.driver.add({{kData, 8, true}});
    ASSERT_TRUE(pair.serve(4));
    EXPECT_EQ(pair.driver.collect(), (UsedBuffer{in_pieces, 4}));
}

}  // namespace
}  // namespace vmm::virtio
