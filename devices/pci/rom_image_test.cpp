// SPDX-License-Identifier: Apache-2.0
#include "pci/rom_image.hpp"

#include "pci/host_bridge_test_support.hpp"

namespace vmm::pci {
namespace {

/// A function with an expansion ROM of 0x1800 bytes, which takes 0x2000, and a BAR.
struct PciRomTest : PciHostBridgeTest {
    PciRomTest() {
        function.add_rom(image);
        plug({.kind = BarKind::Memory32, .size = 0x1000});
    }
    static std::vector<std::byte> bytes() {
        std::vector<std::byte> made(0x1800, std::byte{0x5a});
        made[0] = std::byte{0x55};
        made[1] = std::byte{0xaa};
        return made;
    }
    void decode_memory() { mmio.write16(config(1, 0, 4), 2); }
    std::uint32_t rom_register() { return mmio.read32(config(1, 0, 0x30)); }
    void rom_register(std::uint32_t value) { mmio.write32(config(1, 0, 0x30), value); }

    static constexpr std::uint64_t kRom = kMem32;  // the larger of the two
    RomImage image{bytes()};
};

TEST_F(PciRomTest, SizesInUnitsOf2KibWithAnEnableBit) {
    EXPECT_EQ(rom_register(), kRom);

    rom_register(0xffff'fffe);
    EXPECT_EQ(rom_register(), 0xffff'e000u);
    rom_register(0xffff'ffff);

    EXPECT_EQ(rom_register(), 0xffff'e001u);
}

TEST_F(PciRomTest, IsDecodedWithBothItsBitAndMemorySpace) {
    rom_register(kRom | 1);
    EXPECT_EQ(mmio.read16(kRom), 0xffffu);

    decode_memory();
    EXPECT_EQ(mmio.read16(kRom), 0xaa55u);
    rom_register(kRom);

    EXPECT_EQ(mmio.read16(kRom), 0xffffu);
}

TEST_F(PciRomTest, BytesAreReadOnlyAndOnesFollowThem) {
    decode_memory();
    rom_register(kRom | 1);

    mmio.write32(kRom, 0);

    EXPECT_EQ(mmio.read32(kRom), 0x5a5a'aa55u);
    EXPECT_EQ(mmio.read(kRom + 0x17fc, AccessSize::Qword), 0xffff'ffff'5a5a'5a5au);
    EXPECT_EQ(mmio.read32(kRom + 0x1800), 0xffff'ffffu);
    EXPECT_EQ(mmio.read8(kRom + 1), 0xaau);
}

TEST_F(PciRomTest, Row25OverTheBarItAppearsWhenThatLeaves) {
    decode_memory();
    rom_register(static_cast<std::uint32_t>(function.bar_address(0)) | 1);
    EXPECT_EQ(mmio.read8(kRom + 0x2000), 0x11u);

    mmio.write32(config(1, 0, 0x10), kMem32 + 0x10'0000);

    EXPECT_EQ(mmio.read8(kRom + 0x2000), 0x55u);
}

TEST_F(PciRomTest, Row25OutsideTheWindowsIsNotDecoded) {
    decode_memory();

    rom_register(1);  // RAM

    EXPECT_EQ(mmio.count(), 2u);  // ECAM and BAR 0
}

TEST_F(PciRomTest, ResetDisablesItAtItsFirstAddress) {
    decode_memory();
    rom_register((kRom + 0x10'0000) | 1);

    bridge.reset();

    EXPECT_EQ(rom_register(), kRom);
    decode_memory();
    EXPECT_EQ(mmio.read16(kRom), 0xffffu);
}

TEST(PciRomImageTest, SmallImageTakes2Kib) {
    const RomImage small{{std::byte{1}}};

    EXPECT_EQ(small.bar_size(), 2048u);
}

TEST(PciWithoutRomTest, RegisterIsZeroWhateverIsWritten) {
    Function function{kCard};

    function.write_config(0x30, 4, 0xffff'ffff);

    EXPECT_EQ(function.read_config(0x30, 4), 0u);
}

}  // namespace
}  // namespace vmm::pci
