// SPDX-License-Identifier: Apache-2.0
#include "pci/msix.hpp"

#include "support/fake_msi.hpp"

namespace vmm::pci {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto kByte = AccessSize::Byte;
constexpr auto kWord = AccessSize::Word;
constexpr auto kDword = AccessSize::Dword;
constexpr auto kQword = AccessSize::Qword;
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};

struct PciMsixTest : testing::Test {
    void control(std::uint16_t value) { function.write_config(0x42, 2, value); }
    void write(std::uint64_t offset, std::uint32_t value) {
        msix->write_table({offset, kDword}, value);
    }
    /// Message and no mask for vector `n`.
    void arm(std::uint64_t n) {
        write(n * 16 + 0, 0xfee0'1000);
        write(n * 16 + 4, 0);
        write(n * 16 + 8, 0x4000 + static_cast<std::uint32_t>(n));
        write(n * 16 + 12, 0);
    }

    Function function{{.vendor = 1}};
    test::FakeMsiSink sink;
    std::unique_ptr<Msix> msix = std::move(
        *Msix::create(function, sink, 70, {.bar = 2, .table = 0x3000, .pending = 0x3800}));
};

TEST_F(PciMsixTest, CapabilityNamesSizeAndPlaces) {
    EXPECT_EQ(function.read_config(0x40, 4), 0x0045'0011u);
    EXPECT_EQ(function.read_config(0x44, 4), 0x3002u);
    EXPECT_EQ(function.read_config(0x48, 4), 0x3802u);
}

TEST_F(PciMsixTest, OnlyEnableAndFunctionMaskCanBeWritten) {
    control(0xffff);
    function.write_config(0x44, 4, 0);

    EXPECT_EQ(function.read_config(0x42, 2), 0xc045u);
    EXPECT_EQ(function.read_config(0x44, 4), 0x3002u);
}

TEST_F(PciMsixTest, VectorsStartMaskedWithAnEmptyMessage) {
    EXPECT_EQ(msix->read_table({0, kQword}), 0u);
    EXPECT_EQ(msix->read_table({12, kDword}), 1u);
    EXPECT_EQ(msix->read_table({69 * 16 + 8, kQword}), 0x1'0000'0000u);
}

TEST_F(PciMsixTest, EnabledUnmaskedVectorIsRoutedOnce) {
    arm(3);
    control(0x8000);

    msix->vector(3)->signal();

    EXPECT_THAT(sink.vectors[3]->messages, ElementsAre(MsiMessage{0xfee0'1000, 0x4003}));
    EXPECT_EQ(sink.delivered(3), 1);
    EXPECT_EQ(sink.vectors[2]->messages.size(), 0u);
}

TEST_F(PciMsixTest, MessageSaysWhoSendsIt) {
    function.set_requester_id(0x21);
    arm(3);
    control(0x8000);

    EXPECT_THAT(sink.vectors[3]->messages, ElementsAre(MsiMessage{0xfee0'1000, 0x4003, 0x21}));
}

TEST_F(PciMsixTest, DisabledMeansNothingIsDelivered) {
    arm(0);

    msix->vector(0)->signal();

    EXPECT_FALSE(msix->enabled());
    EXPECT_EQ(sink.delivered(0), 0);
}

TEST_F(PciMsixTest, MaskedSignalIsPendingAndDeliveredOnceOnUnmask) {
    arm(65);
    control(0x8000);
    write(65 * 16 + 12, 1);

    msix->vector(65)->signal();
    msix->vector(65)->signal();
    EXPECT_EQ(msix->read_pending({8, kQword}), 0x2u);
    EXPECT_EQ(msix->read_pending({8, kDword}), 0x2u);
    EXPECT_EQ(msix->read_pending({0, kQword}), 0u);
    write(65 * 16 + 12, 0);

    EXPECT_EQ(sink.delivered(65), 1);
    EXPECT_EQ(msix->read_pending({8, kQword}), 0u);
}

TEST_F(PciMsixTest, FunctionMaskHoldsAllVectorsBack) {
    arm(0);
    arm(1);
    control(0xc000);

    msix->vector(0)->signal();
    msix->vector(1)->signal();
    EXPECT_EQ(msix->read_pending({0, kQword}), 0x3u);
    EXPECT_EQ(sink.delivered(0) + sink.delivered(1), 0);
    control(0x8000);

    EXPECT_EQ(sink.delivered(0), 1);
    EXPECT_EQ(sink.delivered(1), 1);
}

TEST_F(PciMsixTest, MessageChangedWhileUnmaskedIsRoutedAgain) {
    arm(0);
    control(0x8000);

    write(8, 0x4444);

    EXPECT_EQ(sink.vectors[0]->messages.back(), (MsiMessage{0xfee0'1000, 0x4444}));
    EXPECT_TRUE(sink.vectors[0]->connected);
}

TEST_F(PciMsixTest, QwordWritesReachBothHalves) {
    msix->write_table({0, kQword}, 0x0000'0001'fee0'2003);
    msix->write_table({8, kQword}, 0x0000'0000'0000'4055);
    control(0x8000);

    EXPECT_THAT(sink.vectors[0]->messages, ElementsAre(MsiMessage{0x1'fee0'2000, 0x4055}));
}

TEST_F(PciMsixTest, ReservedControlBitsDoNotStick) {
    write(12, 0xffff'fffe);

    EXPECT_EQ(msix->read_table({12, kDword}), 0u);
}

TEST_F(PciMsixTest, Row24IllegalWidthsAndStraddlesTouchNothing) {
    msix->write_table({0, kByte}, 0xff);
    msix->write_table({0, kWord}, 0xffff);
    msix->write_table({2, kDword}, ~0u);
    msix->write_table({4, kQword}, kAllOnes);
    msix->write_table({69 * 16 + 12, kQword}, kAllOnes);

    EXPECT_EQ(msix->read_table({0, kQword}), 0u);
    EXPECT_EQ(msix->read_table({0, kByte}), kAllOnes);
    EXPECT_EQ(msix->read_table({2, kDword}), kAllOnes);
    EXPECT_EQ(msix->read_table({4, kQword}), kAllOnes);
    EXPECT_EQ(msix->read_pending({1, kByte}), kAllOnes);
    EXPECT_EQ(msix->read_pending({4, kQword}), kAllOnes);
}

TEST_F(PciMsixTest, Row24AccessesBeyondTheTableTouchNothing) {
    write(70 * 16, 1);
    write(70 * 16 + 12, 0);
    write(0xffff'fff0, 1);

    EXPECT_EQ(msix->read_table({70 * 16, kQword}), kAllOnes);
    EXPECT_EQ(msix->read_pending({16, kQword}), kAllOnes);
    EXPECT_EQ(msix->read_pending({0xffff'fff8, kDword}), kAllOnes);
}

TEST_F(PciMsixTest, Row24VectorNumbersBeyondTheTableAreNobody) {
    EXPECT_NE(msix->vector(69), nullptr);
    EXPECT_EQ(msix->vector(70), nullptr);
    EXPECT_EQ(msix->vector(0xffff), nullptr);
}

TEST_F(PciMsixTest, RefusedRouteKeepsTheVectorPending) {
    arm(0);
    sink.refuse_unmask = true;
    control(0x8000);

    msix->vector(0)->signal();
    EXPECT_EQ(msix->read_pending({0, kDword}), 1u);
    sink.refuse_unmask = false;
    write(12, 1);
    write(12, 0);

    EXPECT_EQ(sink.delivered(0), 1);
}

TEST_F(PciMsixTest, ResetMasksAndForgets) {
    arm(0);
    control(0x8000);
    write(12, 1);
    msix->vector(0)->signal();

    function.reset();

    EXPECT_FALSE(msix->enabled());
    EXPECT_EQ(function.read_config(0x42, 2), 0x0045u);
    EXPECT_EQ(msix->read_table({0, kQword}), 0u);
    EXPECT_EQ(msix->read_pending({0, kQword}), 0u);
    EXPECT_FALSE(sink.vectors[0]->connected);
}

TEST(PciMsixCreateTest, WithoutVectorsSaysWhatItWanted) {
    Function function{{.vendor = 1}};
    test::FakeMsiSink sink;
    sink.left = 2;

    const auto msix = Msix::create(function, sink, 3, {});

    ASSERT_FALSE(msix);
    EXPECT_THAT(msix.error().one_line(), HasSubstr("allocate 3 MSI-X vectors: no vectors left"));
}

}  // namespace
}  // namespace vmm::pci
