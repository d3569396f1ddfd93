// SPDX-License-Identifier: Apache-2.0
// Accesses of every width and place, through the BAR and through configuration space.
#include "virtio_pci/transport_rig.hpp"

namespace vmm::virtio_pci {
namespace {

// Device configuration.

TEST_F(VirtioPciTest, ConfigurationTakesAnyWidth) {
    m.decode();
    const std::uint64_t at = m.bar + 0x1000;
    mmio.write32(at, 0x4433'2211);
    mmio.write8(at + 5, 0x66);

    EXPECT_EQ(mmio.read8(at + 1), 0x22u);
    EXPECT_EQ(mmio.read16(at + 1), 0x3322u);
    EXPECT_EQ(mmio.read(at, kQword), 0x0000'6600'4433'2211u);
}

TEST_F(VirtioPciTest, Row19ConfigurationEndsWhereItEnds) {
    m.decode();
    const std::uint64_t at = m.bar + 0x1000;

    mmio.write32(at + 22, 0);
    mmio.write(at + 0xff8, kQword, 0);

    EXPECT_EQ(mmio.read32(at + 22), 0xffff'ffffu);
    EXPECT_EQ(mmio.read8(at + 24), 0xffu);
    EXPECT_EQ(mmio.read(at + 0xff8, kQword), ~std::uint64_t{0});
    EXPECT_EQ(mmio.read16(at + 22), 0u);
}

// Widths. Spec: 4.1.3.1.

struct Wrong {
    std::uint64_t offset;
    AccessSize size;
};

struct VirtioPciWidthTest : VirtioPciTest, testing::WithParamInterface<Wrong> {};

TEST_P(VirtioPciWidthTest, Row27OtherWidthsReadAllOnesAndWriteNothing) {
    m.start();
    const auto [offset, size] = GetParam();
    const std::uint64_t ones = size == kQword
                                   ? ~std::uint64_t{0}
                                   : (std::uint64_t{1} << (8 * static_cast<unsigned>(size))) - 1;

    EXPECT_EQ(mmio.read(m.common(offset), size), ones);
    mmio.write(m.common(offset), size, 0);

    EXPECT_EQ(m.status(), 15u);
    EXPECT_EQ(mmio.read16(m.common(kQueueSelect)), 1u);
    EXPECT_EQ(mmio.read32(m.common(kDriverFeatureSelect)), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    All, VirtioPciWidthTest,
    testing::Values(Wrong{kStatus, kWord}, Wrong{kStatus, kDword}, Wrong{kStatus, kQword},
                    Wrong{kStatus + 1, kWord}, Wrong{kConfigVector, kByte},
                    Wrong{kConfigVector, kDword}, Wrong{kQueueSelect, kByte},
                    Wrong{kQueueSelect + 1, kByte}, Wrong{kQueueSelect, kDword},
                    Wrong{kQueueSelect - 1, kWord}, Wrong{kDriverFeatureSelect, kByte},
                    Wrong{kDriverFeatureSelect, kWord}, Wrong{kDriverFeatureSelect + 4, kQword},
                    Wrong{kDriverFeatureSelect + 2, kDword}, Wrong{kQueueDesc + 4, kQword},
                    Wrong{kQueueDesc + 2, kQword}, Wrong{kQueueDesc, kWord},
                    Wrong{kQueueDesc + 2, kDword}, Wrong{kQueueReset, kDword}, Wrong{0x3c, kDword},
                    Wrong{0x38, kQword}, Wrong{0x40, kByte}, Wrong{0x7f8, kQword}));

TEST_F(VirtioPciTest, Row27IsrAndNotifyAndGapsWithOddWidths) {
    m.start();
    use_a_buffer();

    EXPECT_EQ(mmio.read16(m.bar + 0x801), 0xffffu);
    mmio.write8(m.bar + 0x800, 0);
    EXPECT_EQ(mmio.read32(m.bar + 0x2000), 0xffff'ffffu);
    EXPECT_EQ(mmio.read8(m.bar + 0x900), 0xffu);
    EXPECT_EQ(m.isr(), 1u);
}

// The crate virtio-drivers, and others, store an address with one instruction.
TEST_F(VirtioPciTest, AddressInOneStoreIsTwoHalves) {
    m.decode();
    m.select(1);
    for (const std::uint64_t at : {kQueueDesc, kQueueDriver, kQueueDevice})
        mmio.write(m.common(at), kQword, 0x0123'4567'89ab'c000 + at);

    for (const std::uint64_t at : {kQueueDesc, kQueueDriver, kQueueDevice}) {
        EXPECT_EQ(mmio.read32(m.common(at)), 0x89ab'c000u + at);
        EXPECT_EQ(mmio.read32(m.common(at + 4)), 0x0123'4567u);
        EXPECT_EQ(mmio.read(m.common(at), kQword), 0x0123'4567'89ab'c000 + at);
    }
}

TEST_F(VirtioPciTest, DriverThatStoresAddressesAtOnceRuns) {
    m.wide_stores = true;
    m.start();

    use_a_buffer();

    EXPECT_TRUE(m.queues[0]->collect().has_value());
    EXPECT_EQ(m.status(), 15u);
}

TEST_F(VirtioPciTest, OtherPairsOf32BitsAreTwoAccessesToo) {
    m.decode();
    mmio.write(m.common(kDriverFeatureSelect), kQword, 0x0000'0001'0000'0001);

    EXPECT_EQ(mmio.read32(m.common(kDriverFeatureSelect)), 1u);
    EXPECT_EQ(mmio.read(m.common(kDriverFeatureSelect), kQword), 0x0000'0001'0000'0001u);
    EXPECT_EQ(mmio.read(m.common(kDeviceFeatureSelect), kQword), 0x3000'0008'0000'0000u);
}

TEST_F(VirtioPciTest, IsrAnswersAnyWidthAndIsTaken) {
    m.start();
    for (const AccessSize size : {kByte, kWord, kDword, kQword}) {
        use_a_buffer();
        ASSERT_TRUE(m.line.high);

        EXPECT_EQ(mmio.read(m.bar + 0x800, size), 1u);

        EXPECT_FALSE(m.line.high);
    }
}

TEST_F(VirtioPciTest, Row24TableAndPendingBitsAtTheirEnds) {
    m.decode();

    EXPECT_EQ(mmio.read32(m.table(3, 0)), 0xffff'ffffu);
    EXPECT_EQ(mmio.read32(m.bar + 0x37fc), 0xffff'ffffu);
    EXPECT_EQ(mmio.read32(m.bar + 0x3800), 0u);
    EXPECT_EQ(mmio.read32(m.bar + 0x3808), 0xffff'ffffu);
    EXPECT_EQ(mmio.read(m.bar + 0x3ff8, kQword), ~std::uint64_t{0});
    mmio.write(m.bar + 0x3800, kQword, 0);
    mmio.write(m.bar + 0x3ff8, kQword, 0);
}

// The window in configuration space. Spec: 4.1.4.9.

struct VirtioPciWindowTest : VirtioPciTest {
    unsigned at = m.structures[5].at;
    void aim(std::uint32_t offset, std::uint32_t length, std::uint8_t bar = 0) {
        mmio.write8(m.config(at + 4), bar);
        mmio.write32(m.config(at + 8), offset);
        mmio.write32(m.config(at + 12), length);
    }
};

TEST_F(VirtioPciWindowTest, ReadsAndWritesTheBarWithoutDecoding) {
    aim(kNumQueues, 2);
    EXPECT_EQ(mmio.read16(m.config(at + 16)), 2u);

    aim(kStatus, 1);
    mmio.write8(m.config(at + 16), 3);

    EXPECT_EQ(mmio.read8(m.config(at + 16)), 3u);
}

TEST_F(VirtioPciWindowTest, ReachesDriverOkAndItsDoorbells) {
    m.start();
    m.status(0);
    m.start();
    aim(kStatus, 1);

    mmio.write8(m.config(at + 16), 0);

    EXPECT_EQ(m.status(), 0u);
    EXPECT_THAT(m.doorbells.connected, IsEmpty());
}

TEST_F(VirtioPciWindowTest, NonsenseDoesNothing) {
    for (const std::uint32_t length : {0u, 3u, 5u, 8u, 0xffff'ffffu}) {
        aim(kStatus, length);
        mmio.write32(m.config(at + 16), 3);
    }
    aim(0xffff'fffc, 4);
    mmio.write32(m.config(at + 16), 3);
    aim(kQueueSelect - 1, 2);
    mmio.write32(m.config(at + 16), 3);
    aim(kStatus, 1, 1);
    mmio.write32(m.config(at + 16), 3);
    aim(kStatus, 1, 0xff);
    mmio.write32(m.config(at + 16), 3);
    m.decode();

    EXPECT_EQ(m.status(), 0u);
}

// From end to end, with an I/O thread, on both kinds of ring and both kinds of interrupt.

}  // namespace
}  // namespace vmm::virtio_pci
