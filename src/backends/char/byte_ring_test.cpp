// SPDX-License-Identifier: Apache-2.0
#include "backends/char/byte_ring.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>

namespace vmm {
namespace {

std::size_t push(ByteRing& ring, std::string_view text) {
    return ring.push(std::as_bytes(std::span{text}));
}

std::string front(const ByteRing& ring) {
    const auto bytes = ring.front();
    std::string text;
    for (const std::byte byte : bytes)
        text.push_back(static_cast<char>(byte));
    return text;
}

TEST(ByteRingTest, NewRingIsEmpty) {
    const ByteRing ring{4};

    EXPECT_TRUE(ring.empty());
    EXPECT_EQ(ring.room(), 4u);
    EXPECT_EQ(front(ring), "");
}

TEST(ByteRingTest, PushTakesWhatFits) {
    ByteRing ring{4};

    EXPECT_EQ(push(ring, "abc"), 3u);
    EXPECT_EQ(push(ring, "def"), 1u);
    EXPECT_EQ(push(ring, "x"), 0u);
    EXPECT_EQ(front(ring), "abcd");
}

TEST(ByteRingTest, FrontStopsWhereTheMemoryEnds) {
    ByteRing ring{4};
    push(ring, "abc");
    ring.drop(2);

    push(ring, "def");

    EXPECT_EQ(front(ring), "cd");
    ring.drop(2);
    EXPECT_EQ(front(ring), "ef");
    ring.drop(2);
    EXPECT_TRUE(ring.empty());
}

}  // namespace
}  // namespace vmm
