// SPDX-License-Identifier: Apache-2.0
// BARs that are memory: the guest's mapping follows what the registers say.
#include "pci/memory_bar.hpp"

#include <cstring>
#include <thread>

#include "pci/host_bridge_test_support.hpp"
#include "support/fake_memory_layout.hpp"

namespace vmm::pci {
namespace {

constexpr std::uint64_t kBytes = 0x4000;

struct Page4 {
    alignas(4096) std::array<std::byte, kBytes> bytes{};
};

/// A function whose BAR 0 is memory as a whole.
struct MemoryCard {
    MemoryCard() { function.add_bar(0, {.kind = BarKind::Memory64, .size = kBytes}, bar, pieces); }

    std::unique_ptr<Page4> memory = std::make_unique<Page4>();
    std::vector<BarMemory> pieces{
        {.offset = 0, .memory = {.host = memory->bytes.data(), .size = kBytes}}};
    MemoryBar bar{pieces};
    Function function{kCard};
};

struct PciMemoryBarTest : testing::Test {
    PciMemoryBarTest() {
        EXPECT_TRUE(mmio.map(kEcam, kEcamSize, bridge.ecam()));
        EXPECT_TRUE(bridge.add(one.function));
        EXPECT_TRUE(bridge.add(two.function));
        EXPECT_TRUE(bridge.assign_addresses());
    }
    static constexpr std::uint64_t config(unsigned slot, unsigned offset) {
        return kEcam + slot * 0x8000 + offset;
    }
    void decode(unsigned slot, bool on) { mmio.write16(config(slot, 4), on ? 2 : 0); }
    void move(unsigned slot, std::uint64_t to) {
        mmio.write32(config(slot, 0x14), static_cast<std::uint32_t>(to >> 32));
        mmio.write32(config(slot, 0x10), static_cast<std::uint32_t>(to));
    }

    test::FakeIoBus mmio;
    test::FakeIoBus io;
    test::FakeMemoryLayout layout;
    MemoryCard one;
    MemoryCard two;
    HostBridge bridge{
        {.windows = kWindows, .mmio = mmio, .io = io, .memory = &layout, .lines = {}}};
    std::byte* first = one.memory->bytes.data();
    std::byte* second = two.memory->bytes.data();
};

TEST_F(PciMemoryBarTest, GuestHasTheMemoryWhileItIsDecoded) {
    EXPECT_EQ(layout.find(kMem64), nullptr);

    decode(1, true);
    EXPECT_EQ(layout.find(kMem64), first);
    EXPECT_EQ(layout.find(kMem64 + kBytes - 1), first + kBytes - 1);
    EXPECT_EQ(layout.find(kMem64 + kBytes), nullptr);
    EXPECT_EQ(layout.there[0].kind, MemoryKind::Device);
    decode(1, false);

    EXPECT_TRUE(layout.there.empty());
}

TEST_F(PciMemoryBarTest, MemoryMovesWithTheBar) {
    decode(1, true);

    move(1, kMem64 + 0x10'0000);

    EXPECT_EQ(layout.find(kMem64), nullptr);
    EXPECT_EQ(layout.find(kMem64 + 0x10'0000), first);
}

TEST_F(PciMemoryBarTest, WriteThatMovesNothingMapsNothingAnew) {
    decode(1, true);

    mmio.write8(config(1, 0x3c), 5);
    move(1, kMem64);

    EXPECT_EQ(layout.additions, 1);
}

TEST_F(PciMemoryBarTest, Row25MemoryOverRamOrBeyondTheWindowsIsNotMapped) {
    decode(1, true);

    move(1, 0);  // RAM
    EXPECT_TRUE(layout.there.empty());
    move(1, 0xffff'ffff'ffff'c000);
    EXPECT_TRUE(layout.there.empty());
    move(1, kEcam);
    EXPECT_TRUE(layout.there.empty());
    move(1, kMem32);

    EXPECT_EQ(layout.find(kMem32), first);
}

TEST_F(PciMemoryBarTest, Row25MemoryOverAnotherBarAppearsWhenThatLeaves) {
    decode(1, true);
    move(2, kMem64);
    decode(2, true);
    EXPECT_EQ(layout.there.size(), 1u);
    EXPECT_EQ(layout.find(kMem64), first);

    decode(1, false);

    EXPECT_EQ(layout.there.size(), 1u);
    EXPECT_EQ(layout.find(kMem64), second);
}

TEST_F(PciMemoryBarTest, TwoBarsChangePlaces) {
    decode(1, true);
    decode(2, true);
    move(1, kMem64 + 0x10'0000);
    move(2, kMem64);

    move(1, kMem64 + kBytes);

    EXPECT_EQ(layout.find(kMem64), second);
    EXPECT_EQ(layout.find(kMem64 + kBytes), first);
}

TEST_F(PciMemoryBarTest, BridgeResetTakesTheMemoryAway) {
    decode(1, true);
    decode(2, true);

    bridge.reset();

    EXPECT_TRUE(layout.there.empty());
}

TEST_F(PciMemoryBarTest, UnplugTakesTheMemoryAway) {
    decode(1, true);

    bridge.unplug(one.function);

    EXPECT_TRUE(layout.there.empty());
}

TEST_F(PciMemoryBarTest, WhatTheHypervisorCannotMapIsReachedByExits) {
    layout.room = 0;
    decode(1, true);

    mmio.write32(kMem64 + 8, 0x1122'3344);

    EXPECT_EQ(mmio.read32(kMem64 + 8), 0x1122'3344u);
    EXPECT_EQ(first[8], std::byte{0x44});
    decode(1, false);
    layout.room = 1;
    decode(1, true);
    EXPECT_EQ(layout.find(kMem64), first);
}

TEST_F(PciMemoryBarTest, PartOfABarMayBeMemory) {
    Region registers{0x77};
    Function mixed{kCard};
    mixed.add_bar(0, {.kind = BarKind::Memory64, .size = kBytes}, registers,
                  {{.offset = 0x1000, .memory = {.host = first, .size = 0x1000}},
                   {.offset = 0x3000, .memory = {.host = second, .size = 0x1000}}});
    ASSERT_TRUE(bridge.plug(mixed));
    const std::uint64_t at = mixed.bar_address(0);

    decode(3, true);

    EXPECT_EQ(layout.find(at), nullptr);
    EXPECT_EQ(layout.find(at + 0x1000), first);
    EXPECT_EQ(layout.find(at + 0x2000), nullptr);
    EXPECT_EQ(layout.find(at + 0x3000), second);
    EXPECT_EQ(mmio.read8(at), 0x77u);
    layout.room = 0;
    move(3, at + 0x10'0000);
    EXPECT_EQ(layout.find(at + 0x10'1000), first) << "room was made by what left";
    bridge.unplug(mixed);
    EXPECT_TRUE(layout.there.empty());
}

TEST_F(PciMemoryBarTest, SecondPieceThatDoesNotFitLeavesTheFirst) {
    Region registers{0x77};
    Function mixed{kCard};
    mixed.add_bar(0, {.kind = BarKind::Memory64, .size = kBytes}, registers,
                  {{.offset = 0, .memory = {.host = first, .size = 0x1000}},
                   {.offset = 0x1000, .memory = {.host = second, .size = 0x1000}}});
    ASSERT_TRUE(bridge.plug(mixed));
    layout.room = 1;

    decode(3, true);

    EXPECT_EQ(layout.there.size(), 1u);
    decode(3, false);
    EXPECT_TRUE(layout.there.empty());
    bridge.unplug(mixed);
}

// Each thread is a CPU that writes to configuration space; FakeMemoryLayout aborts if two pieces
// are ever at one place, or one goes that was not there.
TEST_F(PciMemoryBarTest, SeveralCpusThatDecodeAndMoveLeaveNothingBehind) {
    const auto write = [this](unsigned slot, unsigned offset, std::uint32_t value) {
        IoDevice& ecam = bridge.ecam();
        {
            const std::scoped_lock held{ecam.lock()};
            ecam.write({.offset = slot * 0x8000 + offset, .size = AccessSize::Dword}, value);
        }
        ecam.after_write();
    };
    std::vector<std::thread> cpus;
    for (unsigned cpu = 0; cpu < 4; ++cpu)
        cpus.emplace_back([&write, cpu] {
            for (std::uint32_t i = 0; i < 500; ++i) {
                write(1 + cpu % 2, 4, i % 3 == 0 ? 0 : 2);
                write(1 + (cpu + i) % 2, 0x10, i % 5 * 0x1000);
            }
        });
    for (auto& cpu : cpus)
        cpu.join();

    decode(1, false);
    decode(2, false);

    EXPECT_TRUE(layout.there.empty());
    EXPECT_EQ(mmio.count(), 1u);  // the ECAM alone
}

struct MemoryBarAccessTest : testing::Test {
    Access at(std::uint64_t offset, AccessSize size) { return {.offset = offset, .size = size}; }

    Page4 memory;
    MemoryBar bar{std::array{
        BarMemory{.offset = 0x1000, .memory = {.host = memory.bytes.data(), .size = 0x1000}}}};
};

TEST_F(MemoryBarAccessTest, AnyWidthReadsWhatIsThere) {
    bar.write(at(0x1000, AccessSize::Qword), 0x8877'6655'4433'2211);

    EXPECT_EQ(bar.read(at(0x1000, AccessSize::Byte)), 0x11u);
    EXPECT_EQ(bar.read(at(0x1002, AccessSize::Word)), 0x4433u);
    EXPECT_EQ(bar.read(at(0x1004, AccessSize::Dword)), 0x8877'6655u);
    EXPECT_EQ(bar.read(at(0x1000, AccessSize::Qword)), 0x8877'6655'4433'2211u);
}

TEST_F(MemoryBarAccessTest, MisalignedAccessesReachTheirBytes) {
    bar.write(at(0x1001, AccessSize::Dword), 0x4433'2211);

    EXPECT_EQ(bar.read(at(0x1003, AccessSize::Word)), 0x4433u);
    EXPECT_EQ(memory.bytes[1], std::byte{0x11});
    EXPECT_EQ(memory.bytes[4], std::byte{0x44});
}

TEST_F(MemoryBarAccessTest, AccessThatLeavesThePieceReadsAllOnesAndWritesNothing) {
    bar.write(at(0x1ffc, AccessSize::Qword), 0x1122'3344'5566'7788);
    bar.write(at(0x0fff, AccessSize::Word), 0xaaaa);

    EXPECT_EQ(bar.read(at(0x1ffc, AccessSize::Qword)), ~std::uint64_t{0});
    EXPECT_EQ(bar.read(at(0x0fff, AccessSize::Word)), ~std::uint64_t{0});
    EXPECT_EQ(bar.read(at(0, AccessSize::Byte)), ~std::uint64_t{0});
    EXPECT_EQ(bar.read(at(0x1ffc, AccessSize::Dword)), 0u);
    EXPECT_EQ(bar.read(at(0x1000, AccessSize::Byte)), 0u);
}

}  // namespace
}  // namespace vmm::pci
