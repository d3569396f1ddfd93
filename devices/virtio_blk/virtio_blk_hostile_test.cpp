// SPDX-License-Identifier: Apache-2.0
// What a hostile driver does to a disk, one breach a test. After each the disk still works.

#include <cerrno>

#include "virtio_blk/blk_rig.hpp"

namespace vmm::test {
namespace {

using testing::IsEmpty;

class BlkHostileTest : public BlkTest {
protected:
    void TearDown() override {
        if (rig == nullptr)
            return;
        EXPECT_TRUE(alive());
        EXPECT_EQ(rig->status() & virtio::status::kNeedsReset, 0);
    }
    /// Any chain, kicked; the length in the used ring, -1 if it does not come back.
    std::int64_t offer(std::vector<Buffer> chain) {
        const std::uint16_t id = rig->queue(0).add(chain);
        rig->kick(0);
        const auto used = rig->wait_used(0);
        return used && used->id == id ? std::int64_t{used->length} : -1;
    }
    int byte(Gpa at) { return rig->memory().read<std::uint8_t>(at).value(); }
};

INSTANTIATE_TEST_SUITE_P(Rings, BlkHostileTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& of) {
                             return of.param == RingKind::Split ? "Split" : "Packed";
                         });

TEST_P(BlkHostileTest, ChainWithoutStatusByteComesBackUndone) {
    start_disk();

    EXPECT_EQ(offer({{header(kOut, 0), 16}, {rig->put(filled(512, 'x')), 512}}), 0);

    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, HeaderAloneComesBack) {
    start_disk();
    EXPECT_EQ(offer({{header(kFlush, 0), 16}}), 0);
}

TEST_P(BlkHostileTest, ShortHeaderIsAnIoError) {
    start_disk();
    const Gpa status = status_byte();

    EXPECT_EQ(offer({{header(kFlush, 0), 15}, {status, 1, true}}), 1);

    EXPECT_EQ(byte(status), kIoError);
}

TEST_P(BlkHostileTest, StatusAloneIsAnIoError) {
    start_disk();
    const Gpa status = status_byte();

    EXPECT_EQ(offer({{status, 1, true}}), 1);

    EXPECT_EQ(byte(status), kIoError);
}

TEST_P(BlkHostileTest, HeaderInManyPiecesIsAHeader) {
    backend.put(512, filled(512, 'h'));
    start_disk();
    const Gpa head = header(kIn, 1);
    const Gpa to = rig->room(512);
    const Gpa status = status_byte();

    EXPECT_EQ(offer({{head, 3},
                     {Gpa{head.value() + 3}, 6},
                     {Gpa{head.value() + 9}, 7},
                     {to, 512, true},
                     {status, 1, true}}),
              513);

    EXPECT_EQ(byte(status), kOk);
    EXPECT_EQ(rig->memory().text(to, 512), filled(512, 'h'));
}

TEST_P(BlkHostileTest, HeaderAndDataInOnePieceAreAWrite) {
    start_disk();
    const Gpa both = rig->room(16 + 512);
    ASSERT_TRUE(rig->memory().write(both, DiskHeader{.type = kOut, .sector = 3}));
    std::memset(rig->memory().host(Gpa{both.value() + 16}, 512), 'o', 512);
    const Gpa status = status_byte();

    EXPECT_EQ(offer({{both, 528}, {status, 1, true}}), 1);

    EXPECT_EQ(backend.text(1536, 512), filled(512, 'o'));
}

TEST_P(BlkHostileTest, StatusAtTheEndOfTheDataPieceIsTheStatus) {
    backend.put(0, filled(512, 's'));
    start_disk();
    const Gpa to = rig->put(filled(513, '?'));

    EXPECT_EQ(offer({{header(kIn, 0), 16}, {to, 513, true}}), 513);

    EXPECT_EQ(rig->memory().text(to, 513), filled(512, 's') + '\0');
}

TEST_P(BlkHostileTest, UnknownTypesAreUnsupported) {
    start_disk();
    // SCSI, its old number, barriers, secure erase, zones, anything.
    for (const std::uint32_t type : {2u, 3u, 5u, 14u, 15u, 26u, 0x80000000u, 0xffffffffu})
        EXPECT_EQ(result(send(type, 0)), kUnsupported) << type;
    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, SectorsBehindTheEndAreIoErrors) {
    start_disk();
    const Gpa to = rig->room(1024);

    for (const std::uint64_t sector :
         {std::uint64_t{2047}, std::uint64_t{2048}, std::uint64_t{1} << 55, ~std::uint64_t{0} / 512,
          ~std::uint64_t{0} - 1, ~std::uint64_t{0}})
        EXPECT_EQ(result(read(sector, to, 1024)), kIoError) << sector;
    EXPECT_EQ(result(read(2046, to, 1024)), kOk);
}

TEST_P(BlkHostileTest, WritesBehindTheEndAreIoErrors) {
    start_disk();
    EXPECT_EQ(result(write(2047, filled(1024, 'x'))), kIoError);
    EXPECT_EQ(result(write(~std::uint64_t{0}, filled(512, 'x'))), kIoError);
    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, PartsOfSectorsAreIoErrors) {
    start_disk();
    EXPECT_EQ(result(read(0, rig->room(512), 511)), kIoError);
    EXPECT_EQ(result(write(0, filled(513, 'x'))), kIoError);
    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, PartsOfBlocksAreIoErrors) {
    backend.described().logical_block = 4096;
    start_disk();
    EXPECT_EQ(result(read(0, rig->room(4096), 512)), kIoError);
    EXPECT_EQ(result(read(1, rig->room(4096), 4096)), kIoError);
    EXPECT_EQ(result(range(kWriteZeroes, {.sector = 8, .sectors = 1})), kIoError);
    EXPECT_EQ(result(read(8, rig->room(4096), 4096)), kOk);
}

TEST_P(BlkHostileTest, EmptyReadsAndWritesDoNothing) {
    start_disk();
    EXPECT_EQ(result(send(kIn, 0)), kOk);
    EXPECT_EQ(result(send(kOut, 0)), kOk);
    EXPECT_EQ(result(send(kIn, 2049)), kIoError);
    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, DataOutsideOfRamIsAnIoError) {
    start_disk();
    const Gpa end{64 << 20};
    for (const Gpa to : {end, Gpa{end.value() - 256}, Gpa{~std::uint64_t{0} - 511},
                         Gpa{~std::uint64_t{0} - 100}}) {
        EXPECT_EQ(result(read(0, to, 512)), kIoError) << to.value();
        EXPECT_EQ(result(send(kOut, 0, {{to, 512}})), kIoError);
    }
    EXPECT_EQ(result(read(0, Gpa{end.value() - 512}, 512)), kOk);
}

TEST_P(BlkHostileTest, HeaderOutsideOfRamIsAnIoError) {
    start_disk();
    const Gpa status = status_byte();
    EXPECT_EQ(offer({{Gpa{64 << 20}, 16}, {status, 1, true}}), 1);
    EXPECT_EQ(byte(status), kIoError);
}

TEST_P(BlkHostileTest, StatusOutsideOfRamIsNoLength) {
    start_disk();
    EXPECT_EQ(offer({{header(kFlush, 0), 16}, {Gpa{64 << 20}, 1, true}}), 0);
    EXPECT_EQ(offer({{header(kFlush, 0), 16}, {Gpa{~std::uint64_t{0} - 3}, 16, true}}), 0);
}

TEST_P(BlkHostileTest, MoreSegmentsThanAdvertisedAreAnIoError) {
    start_disk();
    const Gpa to = rig->room(64 * 512);
    const Gpa status = status_byte();
    std::vector<Buffer> chain{{header(kIn, 0), 16}};
    for (unsigned i = 0; i < 64; ++i)
        chain.push_back({Gpa{to.value() + 512u * i}, 512, true});
    chain.push_back({status, 1, true});

    rig->queue(0).add_indirect(chain, rig->room(16 * 80));
    rig->kick(0);

    EXPECT_EQ(rig->wait_used(0)->length, 0u);
    EXPECT_EQ(byte(status), kIoError);
    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, HugeTransferIsAnIoError) {
    backend.described().size = std::uint64_t{1} << 50;
    start_disk();
    std::vector<Buffer> data(3, Buffer{rig->room(512), 0x30000000, true});

    EXPECT_EQ(result(send(kIn, 0, data)), kIoError);

    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, ReadOnlyHoldsWhateverWasNegotiated) {
    for (const virtio::Features without : {virtio::Features{0}, virtio::feature(5)}) {
        BlkRig other;
        other.backend.described().readonly = true;
        other.start({.kind = GetParam(), .without = without});

        EXPECT_NE(other.rig->offered() & virtio::feature(5), 0u);
        EXPECT_EQ(other.result(other.write(0, filled(512, 'x'))), kIoError);
        EXPECT_NE(other.result(other.range(kDiscard, {.sectors = 8})), kOk);
        EXPECT_NE(other.result(other.range(kWriteZeroes, {.sectors = 8})), kOk);
        EXPECT_THAT(other.backend.seen(), IsEmpty());
        EXPECT_EQ(other.result(other.read(0, other.rig->room(512), 512)), kOk);
    }
}

TEST_P(BlkHostileTest, CommandsThatWereNotNegotiatedAreUnsupported) {
    start({.kind = GetParam(), .without = virtio::feature(13) | virtio::feature(14)});
    EXPECT_EQ(result(range(kDiscard, {.sectors = 8})), kUnsupported);
    EXPECT_EQ(result(range(kWriteZeroes, {.sectors = 8})), kUnsupported);
    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, RangesAreChecked) {
    backend.described().size = std::uint64_t{1} << 50;
    start_disk();
    for (const std::uint32_t type : {kDiscard, kWriteZeroes}) {
        EXPECT_EQ(result(range(type, {.sector = ~std::uint64_t{0}, .sectors = 2})), kIoError);
        EXPECT_EQ(result(range(type, {.sector = (1ull << 41) - 1, .sectors = 2})), kIoError);
        EXPECT_EQ(result(range(type, {.sectors = 0xffffffff})), kIoError);
        EXPECT_EQ(result(range(type, {.sectors = 8, .flags = 2})), kUnsupported);
        EXPECT_EQ(result(range(type, {.sectors = 8, .flags = 0x80000000})), kUnsupported);
        EXPECT_EQ(result(range(type, {.sector = 5, .sectors = 0})), kOk);
    }
    EXPECT_EQ(result(range(kDiscard, {.sectors = 8, .flags = 1})), kUnsupported);
    EXPECT_EQ(result(range(kDiscard, {.sectors = (1u << 21) + 1})), kIoError);
    EXPECT_EQ(result(range(kWriteZeroes, {.sectors = (1u << 17) + 1})), kIoError);
    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, OtherThanOneRangeIsAnIoError) {
    start_disk();
    const Gpa ranges = rig->room(64);
    for (const std::uint32_t bytes : {8u, 15u, 17u, 32u})
        EXPECT_EQ(result(send(kDiscard, 0, {{ranges, bytes}})), kIoError) << bytes;
    EXPECT_EQ(result(send(kWriteZeroes, 0)), kIoError);
    EXPECT_THAT(backend.seen(), IsEmpty());
}

TEST_P(BlkHostileTest, SmallBufferForTheIdIsFilledNoFurther) {
    start_disk();
    const Gpa to = rig->put(filled(20, '#'));

    EXPECT_EQ(length(send(kGetId, 0, {{to, 4, true}})), 5);

    EXPECT_EQ(rig->memory().text(to, 20), "seri" + filled(16, '#'));
}

TEST_P(BlkHostileTest, LargeBufferForTheIdIsNotCountedAsWritten) {
    start_disk();
    const Gpa to = rig->put(filled(64, '#'));

    EXPECT_EQ(length(send(kGetId, 0, {{to, 64, true}})), 20);

    EXPECT_EQ(rig->memory().text(Gpa{to.value() + 20}, 44), filled(44, '#'));
}

TEST_P(BlkHostileTest, IdOutsideOfRamIsAnIoError) {
    start_disk();
    EXPECT_EQ(result(send(kGetId, 0, {{Gpa{64 << 20}, 20, true}})), kIoError);
}

TEST_P(BlkHostileTest, ConfigurationTakesOnlyTheWritebackByte) {
    start_disk();
    for (std::uint32_t offset = 0; offset < 60; ++offset) {
        rig->write_config<std::uint32_t>(offset, 0xffffffff);
        if (offset != 32)
            rig->write_config<std::uint8_t>(offset, 0);
    }
    rig->write_config<std::uint8_t>(32, 2);
    rig->write_config<std::uint64_t>(0xfffffffc, 0);

    EXPECT_EQ(rig->config<std::uint64_t>(0), 2048u);
    EXPECT_EQ(rig->config<std::uint8_t>(32), 1);
    EXPECT_EQ(rig->config<std::uint64_t>(56), ~std::uint64_t{0});  // runs over the end
}

TEST_P(BlkHostileTest, DiskThatShrankFailsWithoutHarm) {
    start_disk();
    backend.resize(512);
    EXPECT_EQ(result(read(1, rig->room(512), 512)), kIoError);  // the backend's word
    ASSERT_TRUE(disk->resized().has_value());
    EXPECT_EQ(result(read(1, rig->room(512), 512)), kIoError);  // the device's
    EXPECT_EQ(result(read(0, rig->room(512), 512)), kOk);
}

class BlkBrokenTest : public BlkTest {};

INSTANTIATE_TEST_SUITE_P(Rings, BlkBrokenTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& of) {
                             return of.param == RingKind::Split ? "Split" : "Packed";
                         });

TEST_P(BlkBrokenTest, HeadThatIsUnderWayAsksForAResetAndTheFirstOneStillEnds) {
    start_disk();
    backend.hold();
    const Gpa to = rig->room(512);
    const Sent sent = read(0, to, 512);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));

    if (GetParam() == RingKind::Split) {
        rig->queue(0).offer_head(sent.id);
    } else {
        const std::uint16_t place = rig->queue(0).next_place();
        rig->queue(0).poke_descriptor(
            place, {.at = sent.status.value(),
                    .length = 1,
                    .flags = static_cast<std::uint16_t>(rig->queue(0).available_flags() | 2u),
                    .next_or_id = sent.id});
    }
    rig->kick(0);
    EXPECT_TRUE(
        DeviceRig::wait_until([&] { return (rig->status() & virtio::status::kNeedsReset) != 0; }));

    backend.release_all();
    ASSERT_TRUE(rig->reset());
    ASSERT_TRUE(rig->start());
    EXPECT_TRUE(alive());
}

TEST_P(BlkBrokenTest, ResetsUnderLoadNeverStopTheDisk) {
    start_disk();
    const Gpa to = rig->room(512);
    for (int round = 0; round < 50; ++round) {
        for (unsigned i = 0; i < 4; ++i)
            add(kIn, i, {{to, 512, true}});
        rig->kick(0);
        ASSERT_TRUE(rig->reset()) << round;
        ASSERT_TRUE(rig->start()) << round;
    }
    EXPECT_TRUE(alive());
}

}  // namespace
}  // namespace vmm::test
