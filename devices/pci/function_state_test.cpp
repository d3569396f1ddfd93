// SPDX-License-Identifier: Apache-2.0
// The state of PCI functions and their host bridge, saved and restored into others of the same
// make.
#include <array>
#include <memory>
#include <string>

#include "pci/host_bridge_test_support.hpp"
#include "pci/msi.hpp"
#include "pci/msix.hpp"
#include "support/fake_msi.hpp"
#include "support/saved_state.hpp"

namespace vmm::pci {
namespace {

constexpr std::uint16_t kSender = 1 << 3;  // the function is in slot 1

using test::restored;
using test::saved;
using test::State;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kWrong = "the state of the PCI function is wrong: field ";
constexpr std::array<std::uint8_t, 0x10> kExtended{};
constexpr std::array<std::uint8_t, 0x10> kExtendedWritable{0, 0xff, 0x0f};

struct Make {
    Identity identity = kCard;
    BarShape bar{.kind = BarKind::Memory64, .size = 0x4000};
    unsigned msix = 3;
    unsigned msi = 4;
};

/// A function with everything, on a bus of its own.
struct Card {
    explicit Card(const Make& make = {}) : function{make.identity} {
        function.add_bar(0, make.bar, region);
        function.add_bar(2, {.kind = BarKind::Io, .size = 0x20}, ports);
        function.add_rom(rom);
        function.set_placement(placement);
        function.use_intx();
        function.add_express();
        function.add_extended_capability(0x0b, 1, kExtended, kExtendedWritable);
        msix = Msix::create(function, sink, make.msix, {.bar = 0, .pending = 0x800}).value();
        msi = Msi::create(function, sink, make.msi).value();
        EXPECT_TRUE(bridge.add(function));
        EXPECT_TRUE(bridge.assign_addresses());
        EXPECT_TRUE(mmio.map(kEcam, kEcamSize, bridge.ecam()));
        EXPECT_TRUE(io.map(kCamPort, kCamSize, bridge.cam()));
        for (unsigned at = mmio.read8(config(0x34)); at != 0; at = mmio.read8(config(at + 1)))
            capabilities[mmio.read8(config(at))] = at;
    }
    static constexpr std::uint64_t config(unsigned offset) { return kEcam + 0x8000 + offset; }
    void msix_control(std::uint16_t to) { mmio.write16(config(capabilities[0x11] + 2), to); }
    void write_table(unsigned vector, unsigned offset, std::uint32_t to) {
        const std::scoped_lock held{function.lock()};
        msix->write_table({vector * 16 + offset, AccessSize::Dword}, to);
    }
    /// Vector n: address and data of its own, masked or not.
    void arm(unsigned vector, bool masked) {
        write_table(vector, 0, 0xfee0'1000);
        write_table(vector, 4, vector);
        write_table(vector, 8, 0x4000 + vector);
        write_table(vector, 12, masked ? 1 : 0);
    }
    void set_msi_control(std::uint16_t to) { mmio.write16(config(capabilities[0x05] + 2), to); }
    std::uint32_t msi_register(unsigned offset) {
        return mmio.read32(config(capabilities[0x05] + offset));
    }
    void set_msi_register(unsigned offset, std::uint32_t to) {
        mmio.write32(config(capabilities[0x05] + offset), to);
    }
    const test::FakeMsiSink::Record& vector(std::size_t number) const {
        return *sink.vectors.at(number);
    }
    State whole() {
        StateWriter writer;
        function.save(writer);
        bridge.save(writer);
        return writer.take();
    }
    std::string take(const State& state) {
        StateReader reader{state, "test"};
        const auto done = function.restore(reader);
        if (!done)
            return done.error().one_line();
        return restored(bridge, std::span{state}.last(rest_of(state)));
    }
    std::size_t rest_of(const State& state) { return state.size() - saved(function).size(); }

    test::FakeIoBus mmio;
    test::FakeIoBus io;
    std::array<test::RecordingIrqLine, 4> lines;
    test::RecordingIrqLine& line = lines[1];  // slot 1, INTA
    Region region{0x11};
    Region ports{0x22};
    RomImage rom{std::vector<std::byte>(0x900, std::byte{0x77})};
    RecordingPlacement placement;
    test::FakeMsiSink sink;
    Function function;
    std::unique_ptr<Msix> msix;
    std::unique_ptr<Msi> msi;
    HostBridge bridge{{.windows = kWindows,
                       .mmio = mmio,
                       .io = io,
                       .lines = {&lines[0], &lines[1], &lines[2], &lines[3]},
                       .line_numbers = {16, 17, 18, 19}}};
    std::map<unsigned, unsigned> capabilities;  // offset by id
};

struct FunctionStateTest : testing::Test {
    Card card;
    Card other;
};

TEST_F(FunctionStateTest, ConfigurationSpaceReadsTheSame) {
    card.mmio.write16(card.config(0x04), 0x0543);
    card.mmio.write8(card.config(0x0c), 0x10);
    card.mmio.write8(card.config(0x3c), 0x5a);
    card.mmio.write16(card.config(card.capabilities[0x10] + 8), 0x5020);
    card.mmio.write32(card.config(0x104), ~0u);
    card.msix_control(0xc000);

    ASSERT_EQ(other.take(card.whole()), "");

    for (unsigned at = 0; at < kConfigSize; at += 4)
        ASSERT_EQ(other.mmio.read32(other.config(at)), card.mmio.read32(card.config(at))) << at;
    EXPECT_EQ(other.mmio.read32(other.config(0x104)), 0x000f'ff00u);
}

TEST_F(FunctionStateTest, BarsAnswerWhereTheGuestHadMovedThem) {
    card.mmio.write32(card.config(0x10), 0x0010'0000);
    card.mmio.write32(card.config(0x14), 0x18);
    card.mmio.write32(card.config(0x18), 0x2000);
    card.mmio.write32(card.config(0x30), kMem32 + 0x80'0001);
    card.mmio.write16(card.config(0x04), 3);

    ASSERT_EQ(other.take(card.whole()), "");

    EXPECT_EQ(other.mmio.read32(0x18'0010'0000), 0x11u);
    EXPECT_EQ(other.io.read8(0x2000), 0x22u);
    EXPECT_EQ(other.mmio.read8(kMem32 + 0x80'0000), 0x77u);
    EXPECT_THAT(other.placement.mapped,
                ElementsAre(std::pair{0u, std::uint64_t{0x18'0010'0000}},
                            std::pair{2u, std::uint64_t{0x2000}},
                            std::pair{kRomBar, std::uint64_t{kMem32 + 0x80'0000}}));
    EXPECT_EQ(other.placement.config_writes, 1);
}

TEST_F(FunctionStateTest, BarThatWasMappedIsNotIfTheStateSaysSo) {
    other.mmio.write16(other.config(0x04), 3);
    ASSERT_EQ(other.io.count(), 2u);

    ASSERT_EQ(other.take(card.whole()), "");

    EXPECT_EQ(other.io.count(), 1u);
    EXPECT_EQ(other.mmio.count(), 1u);
}

TEST_F(FunctionStateTest, BarOutsideOfTheWindowsIsNowhere) {
    card.mmio.write32(card.config(0x10), 0x0010'0000);
    card.mmio.write32(card.config(0x14), 0);
    card.mmio.write16(card.config(0x04), 2);

    ASSERT_EQ(other.take(card.whole()), "");

    EXPECT_EQ(other.mmio.read32(0x0010'0000), ~0u);
    EXPECT_EQ(other.function.bar_address(0), 0x0010'0000u);
}

TEST_F(FunctionStateTest, InterruptDisableComesBackWithTheLevelThatTheDeviceHolds) {
    other.function.set_intx(true);
    ASSERT_TRUE(other.line.high);
    card.mmio.write16(card.config(0x04), 0x0400);
    const State enabled = other.whole();

    ASSERT_EQ(other.take(card.whole()), "");
    EXPECT_FALSE(other.line.high);
    ASSERT_EQ(other.take(enabled), "");

    EXPECT_TRUE(other.line.high);
}

TEST_F(FunctionStateTest, VectorFiresAtTheSameAddressWithTheSameData) {
    card.msix_control(0x8000);
    card.arm(2, false);

    ASSERT_EQ(other.take(card.whole()), "");
    other.msix->vector(2)->signal();
    other.msix->vector(1)->signal();

    EXPECT_TRUE(other.msix->enabled());
    EXPECT_THAT(other.vector(2).messages, ElementsAre(MsiMessage{0x2'fee0'1000, 0x4002, kSender}));
    EXPECT_EQ(other.sink.delivered(2), 1);
    EXPECT_EQ(other.sink.delivered(1), 0) << "never unmasked";
}

TEST_F(FunctionStateTest, PendingVectorIsDeliveredWhenUnmasked) {
    card.msix_control(0x8000);
    card.arm(0, true);
    card.msix->vector(0)->signal();

    ASSERT_EQ(other.take(card.whole()), "");
    EXPECT_EQ(other.msix->read_pending({0, AccessSize::Dword}), 1u);
    EXPECT_EQ(other.sink.delivered(0), 0);
    other.write_table(0, 12, 0);

    EXPECT_EQ(other.sink.delivered(0), 1);
    EXPECT_EQ(other.msix->read_pending({0, AccessSize::Dword}), 0u);
    EXPECT_THAT(other.vector(0).messages, ElementsAre(MsiMessage{0xfee0'1000, 0x4000, kSender}));
}

TEST_F(FunctionStateTest, FunctionMaskHoldsPendingVectorsBack) {
    card.arm(1, false);
    card.msix_control(0xc000);
    card.msix->vector(1)->signal();

    ASSERT_EQ(other.take(card.whole()), "");
    EXPECT_EQ(other.sink.delivered(1), 0);
    other.msix_control(0x8000);

    EXPECT_EQ(other.sink.delivered(1), 1);
}

// As where the hypervisor had no route for it when it was saved.
TEST_F(FunctionStateTest, PendingVectorWithoutAMaskIsDeliveredAtOnce) {
    card.sink.refuse_unmask = true;
    card.arm(0, false);
    card.msix_control(0x8000);
    card.msix->vector(0)->signal();

    ASSERT_EQ(other.take(card.whole()), "");

    EXPECT_EQ(other.sink.delivered(0), 1);
}

TEST_F(FunctionStateTest, WhatWasThereBeforeIsGone) {
    other.arm(0, true);
    other.arm(1, false);
    other.msix_control(0x8000);
    other.msix->vector(0)->signal();
    ASSERT_TRUE(other.vector(1).connected);

    ASSERT_EQ(other.take(card.whole()), "");

    EXPECT_FALSE(other.msix->enabled());
    EXPECT_FALSE(other.vector(1).connected);
    EXPECT_EQ(other.msix->read_pending({0, AccessSize::Dword}), 0u);
    EXPECT_EQ(other.whole(), card.whole());
}

TEST_F(FunctionStateTest, PendingVectorIsNotDeliveredByTheMessageOfBefore) {
    card.arm(0, true);
    card.msix_control(0x8000);
    card.msix->vector(0)->signal();
    card.set_msi_register(16, 0b0001);
    card.set_msi_control(1);
    card.msi->vector(0)->signal();
    other.arm(0, false);
    other.msix_control(0x8000);
    other.set_msi_control(1);
    ASSERT_TRUE(other.vector(0).connected);
    ASSERT_TRUE(other.vector(3).connected);

    ASSERT_EQ(other.take(card.whole()), "");

    EXPECT_EQ(other.sink.delivered(0), 0);
    EXPECT_EQ(other.sink.delivered(3), 0);
    EXPECT_EQ(other.whole(), card.whole());
}

TEST_F(FunctionStateTest, MsiFiresAndDeliversWhatIsPending) {
    card.set_msi_register(4, 0xfee0'2000);
    card.set_msi_register(12, 0x4100);
    card.set_msi_register(16, 0b0100);
    card.set_msi_control(1 | 2 << 4);
    card.msi->vector(2)->signal();

    ASSERT_EQ(other.take(card.whole()), "");
    EXPECT_TRUE(other.msi->enabled());
    EXPECT_EQ(other.msi_register(20), 0b0100u);
    other.msi->vector(1)->signal();
    EXPECT_EQ(other.sink.delivered(3 + 1), 1);
    EXPECT_THAT(other.vector(3 + 1).messages,
                ElementsAre(MsiMessage{0xfee0'2000, 0x4101, kSender}));
    EXPECT_EQ(other.sink.delivered(3 + 2), 0);
    other.set_msi_register(16, 0);

    EXPECT_EQ(other.sink.delivered(3 + 2), 1);
    EXPECT_THAT(other.vector(3 + 2).messages,
                ElementsAre(MsiMessage{0xfee0'2000, 0x4102, kSender}));
    EXPECT_EQ(other.msi_register(20), 0u);
}

TEST_F(FunctionStateTest, ConfigurationAddressOfThePortsComesBack) {
    card.io.write32(0xcf8, 0x8000'0800);

    ASSERT_EQ(other.take(card.whole()), "");

    EXPECT_EQ(other.io.read32(0xcf8), 0x8000'0800u);
    EXPECT_EQ(other.io.read16(0xcfc), 0x1234u);
}

TEST_F(FunctionStateTest, OtherFunctionIsRefusedWithWhatDiffers) {
    const auto from = [&](const Make& make) {
        Card made{make};
        return restored(card.function, saved(made.function));
    };
    const auto wrong = [](std::string_view what) {
        return std::string{kWrong} + std::string{what} + " is not that of this function";
    };
    Make make;
    make.identity.device = 0x5679;
    EXPECT_EQ(from(make), wrong("'device id'"));
    make = {};
    make.identity.class_code = 0x020000;
    EXPECT_EQ(from(make), wrong("'class code and revision'"));
    make = {};
    make.bar.size = 0x8000;
    EXPECT_EQ(from(make), wrong("'size of BAR 0'"));
    make = {};
    make.bar.kind = BarKind::Memory32;
    EXPECT_EQ(from(make), wrong("'kind of BAR 0'"));
    make = {};
    make.msix = 5;
    EXPECT_EQ(from(make),
              "the state of the MSI-X vectors is wrong: field 'number of vectors' is not that of "
              "this function");
    make = {};
    make.msi = 2;
    EXPECT_EQ(from(make),
              "the state of the MSI vectors is wrong: field 'number of vectors' is not that of "
              "this function");
}

TEST_F(FunctionStateTest, FewerCapabilitiesAreAnotherFunction) {
    Function plain{kCard};
    Region region{0x11};
    Region ports{0x22};
    plain.add_bar(0, {.kind = BarKind::Memory64, .size = 0x4000}, region);
    plain.add_bar(2, {.kind = BarKind::Io, .size = 0x20}, ports);

    EXPECT_THAT(restored(card.function, saved(plain)), HasSubstr("'size of the expansion ROM'"));
    plain.add_rom(card.rom);
    EXPECT_THAT(restored(card.function, saved(plain)), HasSubstr("'number of capabilities'"));
    EXPECT_THAT(restored(plain, saved(card.function)), HasSubstr("'number of capabilities'"));
}

/// Where `value` is in the bytes; the test fails if it is not there once.
std::size_t position(const State& state, std::span<const std::uint8_t> value) {
    const auto bytes = std::as_bytes(value);
    const auto found = std::ranges::search(state, bytes);
    EXPECT_FALSE(found.empty());
    return static_cast<std::size_t>(found.begin() - state.begin());
}

TEST_F(FunctionStateTest, ValuesThatAGuestCannotWriteAreRefused) {
    card.mmio.write8(card.config(0x3c), 0x5b);
    card.arm(1, true);
    State state = saved(card.function);
    const auto line = position(state, std::array<std::uint8_t, 1>{0x5b});
    state.at(line - 3) = std::byte{0x02};  // below the size of the expansion ROM
    EXPECT_EQ(restored(other.function, state),
              std::string{kWrong} + "'configuration byte 0x31' has bits that a guest cannot write");

    state = saved(card.function);
    const auto entry = position(state, std::array<std::uint8_t, 8>{0, 0x10, 0xe0, 0xfe, 1});
    state.at(entry) = std::byte{2};
    EXPECT_EQ(restored(other.function, state),
              "the state of the MSI-X vectors is wrong: field 'message address' is not a multiple "
              "of 4");

    state = saved(card.function);
    state.at(entry + 12) = std::byte{2};
    EXPECT_EQ(restored(other.function, state),
              "the state of the MSI-X vectors is wrong: field 'vector masked' is out of range");

    state = saved(card.function);
    state.at(state.size() - 4) = std::byte{0x10};
    EXPECT_EQ(restored(other.function, state),
              "the state of the MSI vectors is wrong: field 'pending vectors' is out of range");

    state = saved(card.function);
    state.at(0) = std::byte{2};
    EXPECT_EQ(restored(other.function, state),
              "the state of the PCI function has version 2; this vmm reads versions 1 to 1");

    state = saved(card.bridge);
    state.back() = std::byte{0x40};
    EXPECT_EQ(restored(other.bridge, state),
              "the state of the PCI host bridge is wrong: field 'configuration address' has bits "
              "that a guest cannot write");
}

TEST_F(FunctionStateTest, TamperedStateIsRefusedAsAWhole) {
    card.mmio.write16(card.config(0x04), 7);
    card.mmio.write8(card.config(0x3c), 0x0b);
    for (unsigned i = 0; i < 3; ++i)
        card.arm(i, true);
    card.msix_control(0x8000);
    card.set_msi_register(16, 0b1111);
    card.set_msi_control(1 | 2 << 4);

    EXPECT_EQ(test::half_taken_states(card.function), 0u);
    EXPECT_EQ(test::half_taken_states(card.bridge), 0u);

    EXPECT_EQ(card.mmio.read32(card.function.bar_address(0)), 0x11u);
}

}  // namespace
}  // namespace vmm::pci
