// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_write_gate.hpp"

#include <gtest/gtest.h>

#include <array>

namespace vmm {
namespace {

using Kind = BlockRequest::Kind;

constexpr std::size_t kUnit = 4096;

BlockRequest write(std::uint64_t offset, std::uint64_t length, Kind kind = Kind::Write) {
    return {.kind = kind, .offset = offset, .length = length};
}

struct BlockWriteGateTest : testing::Test {
    BlockWriteGate gate{kUnit, 16};
};

TEST_F(BlockWriteGateTest, PartsOfOneUnitTakeTurns) {
    BlockRequest first = write(0, 512);
    BlockRequest second = write(512, 512);

    EXPECT_TRUE(gate.enter(first));
    EXPECT_FALSE(gate.enter(second));
    EXPECT_EQ(gate.next(), nullptr);

    gate.leave(first);
    EXPECT_EQ(gate.next(), &second);
    EXPECT_EQ(gate.next(), nullptr);
}

TEST_F(BlockWriteGateTest, WholeUnitsAndPartsOfThemTakeTurns) {
    BlockRequest whole = write(0, 2 * kUnit);
    BlockRequest part = write(kUnit + 512, 512);
    BlockRequest zeroes = write(kUnit, kUnit, Kind::WriteZeroes);

    EXPECT_TRUE(gate.enter(whole));
    EXPECT_FALSE(gate.enter(part));
    gate.leave(whole);
    EXPECT_EQ(gate.next(), &part);
    EXPECT_FALSE(gate.enter(zeroes));
    gate.leave(part);
    EXPECT_EQ(gate.next(), &zeroes);
}

TEST_F(BlockWriteGateTest, WhatSharesNoUnitGoesSideBySide) {
    std::array requests{write(0, 512), write(kUnit, 512), write(2 * kUnit, kUnit),
                        write(2 * kUnit, kUnit, Kind::Discard), write(3 * kUnit + 512, 512)};
    for (BlockRequest& request : requests)
        EXPECT_TRUE(gate.enter(request));
}

TEST_F(BlockWriteGateTest, ReadsAndFlushesNeverWait) {
    BlockRequest part = write(0, 512);
    BlockRequest waits = write(0, 512);
    BlockRequest read = write(0, 512, Kind::Read);
    BlockRequest flush = write(0, 0, Kind::Flush);

    EXPECT_TRUE(gate.enter(part));
    EXPECT_FALSE(gate.enter(waits));
    EXPECT_TRUE(gate.enter(read));
    EXPECT_TRUE(gate.enter(flush));
    gate.leave(read);
    gate.leave(flush);
    EXPECT_EQ(gate.next(), nullptr);
}

TEST_F(BlockWriteGateTest, WhatWaitsKeepsItsOrder) {
    BlockRequest first = write(0, 512);
    BlockRequest second = write(512, 512);
    BlockRequest elsewhere = write(8 * kUnit, 512);

    EXPECT_TRUE(gate.enter(first));
    EXPECT_FALSE(gate.enter(second));
    EXPECT_FALSE(gate.enter(elsewhere)) << "or the one before it might wait for ever";

    gate.leave(first);
    EXPECT_EQ(gate.next(), &second);
    EXPECT_EQ(gate.next(), &elsewhere);
}

}  // namespace
}  // namespace vmm
