// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_geometry.hpp"

#include <gtest/gtest.h>

#include <string>

namespace vmm {
namespace {

/// What comes out for a host that says this.
struct Decided {
    BlockInfo info;
    BlockTraits traits;
    std::string error = "no error";
};

Decided decide(const HostBlocks& host, bool direct, const RequestedBlockSizes& requested = {}) {
    Decided made;
    made.info.name = "d.img";
    made.traits.direct = direct;
    if (const auto done = decide_blocks(host, requested, made.info, made.traits); !done)
        made.error = done.error().report();
    return made;
}

constexpr HostBlocks kFile{.physical = 4096};
constexpr HostBlocks k512e{
    .block_device = true, .logical = 512, .physical = 4096, .discard = 1 << 20};
constexpr HostBlocks k4Kn{.block_device = true, .logical = 4096, .physical = 4096};

TEST(BlockGeometryTest, FileHasSectorsOf512WhateverTheHostAsksOfDirectIo) {
    HostBlocks told = kFile;
    for (const std::uint64_t offset :
         {0U, 512U, 4096U, 65536U}) {  // 0: a kernel that does not tell
        told.direct_memory = told.direct_offset = offset;
        for (const bool direct : {false, true}) {
            const Decided made = decide(told, direct);
            EXPECT_EQ(made.info.logical_block, 512u) << offset;
            EXPECT_EQ(made.error, "no error");
        }
    }
}

TEST(BlockGeometryTest, LargerUnitsOfDirectIoAreMetByReadModifyWrite) {
    HostBlocks told = kFile;
    told.direct_memory = 4;
    told.direct_offset = 512;
    Decided made = decide(told, true);
    EXPECT_EQ(made.traits.file_unit, 512u);
    EXPECT_EQ(made.traits.memory_unit, 4u);
    EXPECT_FALSE(made.traits.partial_units);

    told.direct_offset = 16384;
    made = decide(told, true);
    EXPECT_EQ(made.traits.file_unit, 16384u);
    EXPECT_TRUE(made.traits.partial_units);
    EXPECT_EQ(made.info.physical_block, 16384u) << "so that guests keep to it";
    EXPECT_FALSE(decide(told, false).traits.partial_units) << "the page cache does it";
}

TEST(BlockGeometryTest, KernelThatDoesNotTellMayAskFor4096) {
    const Decided made = decide(kFile, true);
    EXPECT_EQ(made.traits.file_unit, 4096u);
    EXPECT_EQ(made.traits.memory_unit, 4096u);
    EXPECT_TRUE(made.traits.partial_units);
}

TEST(BlockGeometryTest, NumbersThatAreNoUnitsAreNotBelieved) {
    HostBlocks odd = kFile;
    odd.direct_memory = 3;
    odd.direct_offset = 1000;
    odd.physical = 1 << 20;  // as network file systems say it
    const Decided made = decide(odd, true);
    EXPECT_EQ(made.traits.file_unit, 4096u);
    EXPECT_EQ(made.traits.memory_unit, 4096u);
    EXPECT_EQ(made.info.physical_block, 4096u);
}

TEST(BlockGeometryTest, PiecesSuitMemoryAndFile) {
    HostBlocks told = kFile;
    told.direct_memory = 4096;
    told.direct_offset = 512;
    EXPECT_EQ(decide(told, true).traits.file_unit, 4096u);
}

TEST(BlockGeometryTest, DeviceIsShownAsItIs) {
    const Decided small = decide(k512e, false);
    EXPECT_EQ(small.info.logical_block, 512u);
    EXPECT_EQ(small.info.physical_block, 4096u);
    EXPECT_EQ(small.info.discard_block, 1u << 20);

    const Decided large = decide(k4Kn, true);
    EXPECT_EQ(large.info.logical_block, 4096u);
    EXPECT_EQ(large.traits.file_unit, 4096u);
    EXPECT_FALSE(large.traits.partial_units);
    EXPECT_EQ(large.info.discard_block, 4096u);
}

TEST(BlockGeometryTest, BlocksLargerThanAPageAreShownAsPages) {
    const Decided made = decide({.block_device = true, .logical = 16384, .physical = 16384}, true);
    EXPECT_EQ(made.info.logical_block, 4096u);
    EXPECT_EQ(made.info.physical_block, 16384u);
    EXPECT_TRUE(made.traits.partial_units);
}

TEST(BlockGeometryTest, SmallSectorsOnALargeDeviceKeepToItsBlocksWhereTheKernelDoes) {
    for (const bool direct : {false, true}) {
        const Decided made = decide(k4Kn, direct, {.logical = 512});
        EXPECT_EQ(made.info.logical_block, 512u);
        EXPECT_EQ(made.info.physical_block, 4096u);
        EXPECT_EQ(made.traits.discard_unit, 4096u);
        EXPECT_EQ(made.traits.zero_unit, 4096u);
        EXPECT_EQ(made.traits.partial_units, direct);
    }
}

TEST(BlockGeometryTest, WhatTheConfigurationSaysIsShown) {
    const Decided made = decide(kFile, false, {.logical = 4096, .physical = 65536});
    EXPECT_EQ(made.info.logical_block, 4096u);
    EXPECT_EQ(made.info.physical_block, 65536u);
    EXPECT_EQ(decide(kFile, false, {.physical = 512}).info.physical_block, 512u);
    EXPECT_EQ(decide(kFile, false, {.logical = 4096}).info.physical_block, 4096u);
}

TEST(BlockGeometryTest, PhysicalBlockBelowTheDevicesLogicalOneIsAnError) {
    EXPECT_EQ(decide(k4Kn, false, {.physical = 512}).error,
              "error: disk d.img: physical_block_size 512 is less than the device's logical blocks "
              "of 4096 bytes\n"
              "  help: Give 4096 or more, or show the guest smaller blocks with block_size=512.\n");
    EXPECT_EQ(decide(k4Kn, false, {.logical = 512, .physical = 512}).error, "no error");
}

}  // namespace
}  // namespace vmm
