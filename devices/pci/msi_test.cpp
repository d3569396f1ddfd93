// SPDX-License-Identifier: Apache-2.0
#include "pci/msi.hpp"

#include "pci/msix.hpp"
#include "support/fake_msi.hpp"

namespace vmm::pci {
namespace {

using testing::ElementsAre;

struct PciMsiTest : testing::Test {
    void control(std::uint16_t value) { function.write_config(0x42, 2, value); }
    void arm() {
        function.write_config(0x44, 4, 0xfee0'1003);
        function.write_config(0x48, 4, 1);
        function.write_config(0x4c, 2, 0x4007);
    }

    Function function{{.vendor = 1}};
    test::FakeMsiSink sink;
    std::unique_ptr<Msi> msi = std::move(*Msi::create(function, sink, 4));
};

TEST_F(PciMsiTest, CapabilitySaysFourVectors64BitsAndMasks) {
    EXPECT_EQ(function.read_config(0x40, 4), 0x0184'0005u);
}

TEST_F(PciMsiTest, OnlyWhatTheSpecNamesCanBeWritten) {
    function.write_config(0x40, 4, ~0u);
    function.write_config(0x44, 4, ~0u);
    function.write_config(0x4c, 4, ~0u);
    function.write_config(0x50, 4, ~0u);
    function.write_config(0x54, 4, ~0u);

    EXPECT_EQ(function.read_config(0x40, 4), 0x01f5'0005u);
    EXPECT_EQ(function.read_config(0x44, 4), 0xffff'fffcu);
    EXPECT_EQ(function.read_config(0x4c, 4), 0x0000'ffffu);
    EXPECT_EQ(function.read_config(0x50, 4), 0x0000'000fu);
    EXPECT_EQ(function.read_config(0x54, 4), 0u);
}

TEST_F(PciMsiTest, OneVectorIsSharedByAllSources) {
    arm();
    control(1);

    msi->vector(0)->signal();
    msi->vector(3)->signal();

    EXPECT_TRUE(msi->enabled());
    EXPECT_THAT(sink.vectors[0]->messages, ElementsAre(MsiMessage{0x1'fee0'1000, 0x4007}));
    EXPECT_EQ(sink.delivered(0), 2);
    EXPECT_FALSE(sink.vectors[1]->connected);
}

TEST_F(PciMsiTest, SeveralVectorsDifferInTheirLowBits) {
    arm();
    control(1 | 2 << 4);

    msi->vector(3)->signal();

    EXPECT_THAT(sink.vectors[3]->messages, ElementsAre(MsiMessage{0x1'fee0'1000, 0x4007}));
    EXPECT_THAT(sink.vectors[1]->messages, ElementsAre(MsiMessage{0x1'fee0'1000, 0x4005}));
    EXPECT_EQ(sink.delivered(3), 1);
}

TEST_F(PciMsiTest, MoreThanThereAreIsCutDown) {
    arm();
    control(1 | 7 << 4);

    msi->vector(31)->signal();

    EXPECT_EQ(sink.delivered(3), 1);
}

TEST_F(PciMsiTest, MaskedVectorIsPendingUntilUnmasked) {
    arm();
    control(1 | 2 << 4);
    function.write_config(0x50, 4, 0b0100);

    msi->vector(2)->signal();
    EXPECT_EQ(function.read_config(0x54, 4), 0b0100u);
    EXPECT_EQ(sink.delivered(2), 0);
    function.write_config(0x50, 4, 0);

    EXPECT_EQ(sink.delivered(2), 1);
    EXPECT_EQ(function.read_config(0x54, 4), 0u);
}

TEST_F(PciMsiTest, PendingWhileDisabledComesWhenEnabled) {
    arm();
    function.write_config(0x50, 4, 0b0001);
    control(1);
    msi->vector(0)->signal();

    control(0);
    function.write_config(0x50, 4, 0);
    EXPECT_EQ(sink.delivered(0), 0);
    control(1);

    EXPECT_EQ(sink.delivered(0), 1);
    EXPECT_EQ(function.read_config(0x54, 4), 0u);
}

TEST_F(PciMsiTest, NewAddressAndDataAreUsedFromTheirWritesOn) {
    arm();
    control(1);

    function.write_config(0x44, 4, 0xfee0'2000);
    function.write_config(0x4c, 2, 0x0041);
    msi->vector(0)->signal();

    EXPECT_THAT(sink.vectors[0]->messages,
                ElementsAre(MsiMessage{0x1'fee0'1000, 0x4007}, MsiMessage{0x1'fee0'2000, 0x4007},
                            MsiMessage{0x1'fee0'2000, 0x0041}));
    EXPECT_EQ(sink.delivered(0), 1);
}

TEST_F(PciMsiTest, WriteThatChangesNoMessageConnectsNothingAnew) {
    arm();
    control(1);

    function.write_config(0x44, 4, 0xfee0'1000);
    control(1);

    EXPECT_EQ(sink.vectors[0]->messages.size(), 1u);
}

TEST_F(PciMsiTest, PendingOnAVectorThatIsTakenAwayComesByTheOneInItsPlace) {
    arm();
    control(1 | 2 << 4);
    function.write_config(0x50, 4, 0b1000);
    msi->vector(3)->signal();

    control(1);

    EXPECT_EQ(sink.delivered(0), 1);
    EXPECT_EQ(function.read_config(0x54, 4), 0u);
}

TEST_F(PciMsiTest, DeviceTakesWhatIsPending) {
    arm();
    control(1 | 2 << 4);
    function.write_config(0x50, 4, 0b0100);
    msi->vector(2)->signal();

    EXPECT_FALSE(msi->take_pending(1));
    EXPECT_TRUE(msi->take_pending(2));
    EXPECT_FALSE(msi->take_pending(2));
}

TEST_F(PciMsiTest, NoVectorsLeftIsAnErrorThatSaysHowMany) {
    Function other{{.vendor = 1}};
    sink.left = 3;

    const auto made = Msi::create(other, sink, 8);

    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().one_line(), testing::HasSubstr("allocate 8 MSI vectors"));
}

TEST_F(PciMsiTest, DriverThatEnablesBothGetsMsix) {
    auto msix = std::move(*Msix::create(function, sink, 4, {.bar = 0, .pending = 0x800}));
    EXPECT_EQ(active(msix.get(), msi.get()), nullptr);
    control(1);
    EXPECT_EQ(active(msix.get(), msi.get()), msi.get());
    EXPECT_EQ(active(msix.get(), nullptr), nullptr);

    function.write_config(0x58 + 2, 2, 0x8000);
    EXPECT_EQ(active(msix.get(), msi.get()), msix.get());
    function.write_config(0x58 + 2, 2, 0);

    EXPECT_EQ(active(msix.get(), msi.get()), msi.get());
}

TEST_F(PciMsiTest, ResetDisables) {
    arm();
    control(1);

    function.reset();

    EXPECT_FALSE(msi->enabled());
    EXPECT_FALSE(sink.vectors[0]->connected);
    EXPECT_EQ(function.read_config(0x40, 4), 0x0184'0005u);
    EXPECT_EQ(function.read_config(0x44, 4), 0u);
}

}  // namespace
}  // namespace vmm::pci
