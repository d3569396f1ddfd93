// SPDX-License-Identifier: Apache-2.0
// What a hostile driver does to the entropy device, one breach a test. After each it still works.

#include "virtio_rng/rng_rig.hpp"

namespace vmm::test {
namespace {

constexpr std::uint64_t kEndOfRam = 64 << 20;

class RngHostileTest : public RngTest {
protected:
    void TearDown() override {
        EXPECT_EQ(rig->status() & virtio::status::kNeedsReset, 0);
        EXPECT_EQ(ask(rig->room(16), 16), 16);
    }
};

INSTANTIATE_TEST_SUITE_P(Rings, RngHostileTest, testing::Values(RingKind::Split, RingKind::Packed),
                         ring_name);

TEST_P(RngHostileTest, ReadablePartsAloneGetNothing) {
    start();
    const Gpa at = rig->put("untouched");

    EXPECT_EQ(offer({{at, 9}}), 0);

    EXPECT_EQ(rig->memory().text(at, 9), "untouched");
    EXPECT_EQ(entropy.bytes, 0u);
}

TEST_P(RngHostileTest, ReadablePartInFrontIsLeftAlone) {
    start();
    const Gpa at = rig->put("untouched");
    const Gpa to = rig->room(8);

    EXPECT_EQ(offer({{at, 9}, {to, 8, true}}), 8);

    EXPECT_EQ(rig->memory().text(at, 9), "untouched");
    EXPECT_EQ(rig->memory().text(to, 8), foreseen(8));
}

TEST_P(RngHostileTest, ReadableAfterWritableComesBackUnfilled) {
    start();
    EXPECT_EQ(offer({{rig->room(8), 8, true}, {rig->room(8), 8}}), 0);
    EXPECT_EQ(entropy.bytes, 0u);
}

TEST_P(RngHostileTest, LengthZeroGetsNothing) {
    start();
    EXPECT_EQ(ask(rig->room(8), 0), 0);
    EXPECT_EQ(offer({{rig->room(8), 0, true}, {rig->room(8), 8, true}}), 8);
}

TEST_P(RngHostileTest, HugeRequestGetsSixtyFourKibibytes) {
    start();
    const Gpa to = rig->room(1 << 20);
    std::memset(rig->memory().host(to, 1 << 20), '#', 1 << 20);

    EXPECT_EQ(ask(to, 1 << 20), 65536);

    EXPECT_EQ(rig->memory().text(to, 65536), foreseen(65536));
    EXPECT_EQ(rig->memory().text(Gpa{to.value() + 65536}, 16), std::string(16, '#'));
    EXPECT_EQ(entropy.bytes, 65536u);
}

TEST_P(RngHostileTest, LongestDescriptorIsBoundedToo) {
    start();
    // 4 GiB - 1 that would run over the end of RAM: only what is given counts.
    EXPECT_EQ(ask(rig->room(65536), 0xffffffff), 65536);
    EXPECT_EQ(entropy.bytes, 65536u);
}

TEST_P(RngHostileTest, OneBufferManyTimesInAChainIsBoundedAsAWhole) {
    start();
    const Gpa to = rig->room(4096);
    EXPECT_EQ(offer(std::vector<Buffer>(20, Buffer{to, 4096, true})), 65536);
    EXPECT_EQ(entropy.bytes, 65536u);
}

TEST_P(RngHostileTest, AddressesOutsideOfRamGetNothing) {
    start();
    for (const std::uint64_t at : {kEndOfRam, kEndOfRam - 8, ~std::uint64_t{0} - 15,
                                   ~std::uint64_t{0} - 7, std::uint64_t{1} << 63})
        EXPECT_EQ(ask(Gpa{at}, 16), 0) << at;
    EXPECT_EQ(entropy.bytes, 0u);
    EXPECT_EQ(ask(Gpa{kEndOfRam - 16}, 16), 16);
}

TEST_P(RngHostileTest, FillingEndsAtTheFirstAddressOutsideOfRam) {
    start();
    const Gpa first = rig->room(16);
    const Gpa third = rig->put("untouched");

    EXPECT_EQ(offer({{first, 16, true}, {Gpa{kEndOfRam}, 16, true}, {third, 9, true}}), 16);

    EXPECT_EQ(rig->memory().text(first, 16), foreseen(16));
    EXPECT_EQ(rig->memory().text(third, 9), "untouched");
}

TEST_P(RngHostileTest, KicksWithoutRequestsDoNothing) {
    start();
    for (int i = 0; i < 1000; ++i)
        rig->kick(0);
    EXPECT_EQ(rig->queue(0).collect(), std::nullopt);
    EXPECT_EQ(entropy.bytes, 0u);
}

TEST_P(RngHostileTest, ConfigurationThatIsNotThereTakesNothing) {
    start();
    for (const std::uint32_t offset : {0u, 1u, 4u, 4095u, 0xfffffffcu}) {
        rig->write_config<std::uint32_t>(offset, 0xffffffff);
        EXPECT_EQ(rig->config<std::uint32_t>(offset), 0xffffffffu);
    }
}

TEST_P(RngHostileTest, ResetInTheMiddleOfManyRequestsIsDoneSoon) {
    start();
    const Gpa to = rig->room(65536);
    for (int round = 0; round < 20; ++round) {
        for (unsigned i = 0; i < 128; ++i)
            rig->queue(0).add({{to, 65536, true}});
        rig->kick(0);
        ASSERT_TRUE(rig->reset()) << round;
        ASSERT_TRUE(rig->start()) << round;
    }
}

class RngBrokenTest : public RngTest {};

INSTANTIATE_TEST_SUITE_P(Rings, RngBrokenTest, testing::Values(RingKind::Split, RingKind::Packed),
                         ring_name);

TEST_P(RngBrokenTest, HeadOutOfRangeAsksForAResetAndThatHelps) {
    start();
    if (GetParam() == RingKind::Split)
        rig->queue(0).offer_head(128);
    else
        rig->queue(0).offer_endless_chain(VirtQueueDriver::kWrite);
    rig->kick(0);

    EXPECT_TRUE(
        DeviceRig::wait_until([&] { return (rig->status() & virtio::status::kNeedsReset) != 0; }));

    ASSERT_TRUE(rig->reset());
    ASSERT_TRUE(rig->start());
    EXPECT_EQ(ask(rig->room(8), 8), 8);
}

}  // namespace
}  // namespace vmm::test
