// SPDX-License-Identifier: Apache-2.0
// An endpoint that is not a pci::Function, as one of the host's will be, behind the host bridge.
#include "pci/endpoint.hpp"

#include <array>
#include <map>
#include <vector>

#include "pci/host_bridge.hpp"
#include "support/fake_io_bus.hpp"
#include "support/recording_irq_line.hpp"

namespace vmm::pci {
namespace {

using testing::ElementsAre;

constexpr std::uint64_t kEcamAt = 0xb000'0000;
constexpr std::uint64_t kWindowAt = 0xc000'0000;

struct Registers final : IoDevice {
    std::uint64_t read(Access) noexcept override { return 0x33; }
    void write(Access, std::uint64_t) noexcept override {}
};

/// Plain bytes for a configuration space; where its BAR is, the test says.
class PlainEndpoint final : public Endpoint {
public:
    Mutex& lock() noexcept override { return lock_; }
    std::uint32_t read_config(unsigned offset, unsigned size) noexcept override {
        std::uint32_t value = 0;
        for (unsigned i = 0; i < size; ++i)
            value |= std::uint32_t{space.at(offset + i)} << (8 * i);
        return value;
    }
    void write_config(unsigned offset, unsigned size, std::uint32_t value) noexcept override {
        for (unsigned i = 0; i < size; ++i)
            space.at(offset + i) = static_cast<std::uint8_t>(value >> (8 * i));
    }
    std::optional<std::uint64_t> decoded_at(unsigned bar) const noexcept override {
        return bar == 2 ? decoded : std::nullopt;
    }
    void reset() noexcept override { ++resets; }
    std::span<const Bar> bars() const noexcept override { return bars_; }
    void set_initial_address(unsigned bar, std::uint64_t at) noexcept override {
        initial[bar] = at;
    }
    void set_requester_id(std::uint16_t id) noexcept override { requester = id; }
    void bar_mapped(unsigned bar, std::uint64_t at) noexcept override { mapped[bar] = at; }
    void bar_unmapped(unsigned bar) noexcept override { mapped.erase(bar); }
    void after_config_write() noexcept override { ++config_writes; }
    bool uses_intx() const noexcept override { return true; }
    void connect_pin(std::uint8_t number, std::uint8_t, InterruptPin& to) noexcept override {
        pin_number = number;
        pin = &to;
    }
    void disconnect_pin() noexcept override { pin = nullptr; }

    std::array<std::uint8_t, kConfigSize> space{};
    std::optional<std::uint64_t> decoded;
    std::map<unsigned, std::uint64_t> initial;
    std::optional<std::uint16_t> requester;
    std::map<unsigned, std::uint64_t> mapped;
    InterruptPin* pin = nullptr;
    unsigned pin_number = 0;
    int resets = 0;
    int config_writes = 0;

private:
    RankedMutex<LockRank::Device> lock_;
    Registers registers_;
    std::array<Bar, kBaseAddresses> bars_{
        Bar{}, Bar{}, Bar{{.kind = BarKind::Memory32, .size = 0x1000}, &registers_}};
};

struct PciEndpointTest : testing::Test {
    PciEndpointTest() {
        EXPECT_TRUE(mmio.map(kEcamAt, kEcamSize, bridge->ecam()));
        EXPECT_TRUE(io.map(kCamPort, kCamSize, bridge->cam()));
        EXPECT_TRUE(bridge->add(endpoint));
        EXPECT_TRUE(bridge->assign_addresses());
    }
    static constexpr std::uint64_t config(unsigned offset) { return kEcamAt + 0x8000 + offset; }

    test::FakeIoBus mmio;
    test::FakeIoBus io;
    std::array<test::RecordingIrqLine, 4> lines;
    PlainEndpoint endpoint;
    std::unique_ptr<HostBridge> bridge = std::make_unique<HostBridge>(
        HostBridgeParts{.windows = {.memory32 = {kWindowAt, 0x10'0000}},
                        .mmio = mmio,
                        .io = io,
                        .lines = {&lines[0], &lines[1], &lines[2], &lines[3]}});
};

TEST_F(PciEndpointTest, EcamReachesAll4096Bytes) {
    mmio.write32(config(0x100), 0x0102'0304);
    mmio.write8(config(0xfff), 0x5a);

    EXPECT_EQ(endpoint.space[0x100], 0x04);
    EXPECT_EQ(endpoint.space[0xfff], 0x5a);
    EXPECT_EQ(mmio.read32(config(0xffc)), 0x5a00'0000u);
}

TEST_F(PciEndpointTest, PortsReachTheFirst256BytesOnly) {
    endpoint.space[0xfc] = 0x11;
    endpoint.space[0x1fc] = 0x22;

    io.write32(0xcf8, 0x8100'08fc);  // some chipsets have bits 11:8 of the register in 27:24

    EXPECT_EQ(io.read32(0xcf8), 0x8000'08fcu);
    EXPECT_EQ(io.read8(0xcfc), 0x11u);
}

TEST_F(PciEndpointTest, BarIsWhereTheEndpointWantsIt) {
    endpoint.decoded = kWindowAt + 0x3000;
    mmio.write8(config(0x40), 1);
    EXPECT_EQ(mmio.read8(kWindowAt + 0x3000), 0x33u);
    EXPECT_EQ(endpoint.mapped[2], kWindowAt + 0x3000);

    endpoint.decoded = std::nullopt;
    mmio.write8(config(0x40), 1);

    EXPECT_EQ(mmio.read8(kWindowAt + 0x3000), 0xffu);
    EXPECT_TRUE(endpoint.mapped.empty());
}

TEST_F(PciEndpointTest, InitialAddressIsFromTheWindow) {
    EXPECT_EQ(endpoint.initial, (std::map<unsigned, std::uint64_t>{{2, kWindowAt}}));
}

TEST_F(PciEndpointTest, RequesterIdIsItsPlace) {
    EXPECT_EQ(endpoint.requester, std::uint16_t{1 << 3});
}

TEST_F(PciEndpointTest, WriteIsFollowedByOneCall) {
    mmio.write8(config(0x40), 1);

    EXPECT_EQ(endpoint.config_writes, 1);
}

TEST_F(PciEndpointTest, BridgeResetResetsIt) {
    bridge->reset();

    EXPECT_EQ(endpoint.resets, 1);
}

TEST_F(PciEndpointTest, PinDrivesTheLineOfItsSlotUntilTheBridgeGoes) {
    EXPECT_EQ(endpoint.pin_number, 1u);
    endpoint.pin->set(true);
    endpoint.pin->set(false);

    bridge.reset();

    EXPECT_EQ(endpoint.pin, nullptr);
    EXPECT_THAT(lines[1].changes, ElementsAre(true, false));
}

TEST_F(PciEndpointTest, UnpluggedIsUnmappedEvenIfItGoesOnDecoding) {
    endpoint.decoded = kWindowAt;  // as if a vCPU wrote to it after its reset
    mmio.write8(config(0x40), 1);
    ASSERT_EQ(mmio.read8(kWindowAt), 0x33u);

    bridge->unplug(endpoint);

    EXPECT_EQ(mmio.read8(kWindowAt), 0xffu);
    EXPECT_TRUE(endpoint.mapped.empty());
    EXPECT_EQ(endpoint.resets, 1);
}

TEST_F(PciEndpointTest, NeighbourInItsSlotMakesItMultiFunction) {
    std::vector<std::unique_ptr<Function>> others;
    endpoint.space[0x0e] = 0x00;
    EXPECT_EQ(mmio.read8(config(0x0e)), 0x00u);

    for (int i = 0; i < 31; ++i) {
        others.push_back(std::make_unique<Function>(Identity{.vendor = 1}));
        ASSERT_TRUE(bridge->add(*others.back()));
    }

    EXPECT_EQ(mmio.read8(config(0x0e)), 0x80u);
    EXPECT_EQ(mmio.read32(config(0x0c)), 0x0080'0000u);
    EXPECT_EQ(mmio.read16(config(0x0c)), 0x0000u);
    bridge.reset();  // before the functions
}

}  // namespace
}  // namespace vmm::pci
