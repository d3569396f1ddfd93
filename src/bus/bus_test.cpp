// SPDX-License-Identifier: Apache-2.0
#include "bus/bus.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace vmm {
namespace {

struct EchoDevice final : IoDevice {
    Access last{};
    std::uint64_t written = 0;
    int after = 0;
    std::uint64_t read(Access access) noexcept override {
        last = access;
        return 0x8877665544332211;
    }
    void write(Access access, std::uint64_t value) noexcept override {
        last = access;
        written = value;
    }
    void after_write() noexcept override { ++after; }
};

struct BusTest : testing::Test {
    template <class T>
    T read(std::uint64_t at) {
        T value{};
        reader.read(at, std::as_writable_bytes(std::span{&value, 1}));
        return value;
    }
    Bus bus;
    BusReader reader{bus};
    EchoDevice device;
};

TEST_F(BusTest, DeviceSeesOffsetAndWidth) {
    ASSERT_TRUE(bus.map(0x500, 0x10, device));

    EXPECT_EQ(read<std::uint32_t>(0x50c), 0x44332211u);
    EXPECT_TRUE(device.last.is(0xc, AccessSize::Dword));
}

TEST_F(BusTest, AccessThatLeavesTheRegionReadsAllOnesAndWritesNothing) {
    ASSERT_TRUE(bus.map(0x500, 0x10, device));

    EXPECT_EQ(read<std::uint32_t>(0x50d), 0xffff'ffffu);
    EXPECT_EQ(read<std::uint8_t>(0x4ff), 0xffu);
    reader.write(0x50d, std::as_bytes(std::span{"\1\2\3", 4}));

    EXPECT_EQ(device.written, 0u);
    EXPECT_EQ(device.after, 0);
}

TEST_F(BusTest, OddLengthReadsAllOnesAndWritesNothing) {
    ASSERT_TRUE(bus.map(0x500, 0x10, device));
    std::array<std::byte, 3> three{};

    reader.read(0x500, three);
    reader.write(0x500, three);

    EXPECT_THAT(three, testing::Each(std::byte{0xff}));
    EXPECT_EQ(device.after, 0);
}

TEST_F(BusTest, WriteIsFollowedByAfterWrite) {
    ASSERT_TRUE(bus.map(0x500, 0x10, device));

    reader.write(0x502, std::as_bytes(std::span{"\x34\x12", 2}));

    EXPECT_EQ(device.written, 0x1234u);
    EXPECT_EQ(device.after, 1);
}

TEST_F(BusTest, MapRejectsEmptyOverlapAndWrap) {
    ASSERT_TRUE(bus.map(0x500, 0x10, device));

    EXPECT_FALSE(bus.map(0x600, 0, device));
    EXPECT_FALSE(bus.map(0x50f, 1, device));
    EXPECT_FALSE(bus.map(0x4ff, 2, device));
    EXPECT_FALSE(bus.map(~0ull, 2, device));
    EXPECT_TRUE(bus.map(~0ull, 1, device));
    EXPECT_EQ(read<std::uint8_t>(~0ull), 0x11u);
}

TEST_F(BusTest, MovedRegionAnswersAtItsNewPlaceOnly) {
    ASSERT_TRUE(bus.map(0x500, 0x10, device));
    EXPECT_EQ(read<std::uint8_t>(0x500), 0x11u);

    bus.unmap(0x500);
    ASSERT_TRUE(bus.map(0x700, 0x10, device));

    EXPECT_EQ(read<std::uint8_t>(0x500), 0xffu);
    EXPECT_EQ(read<std::uint8_t>(0x700), 0x11u);
}

TEST_F(BusTest, ReadersGoOnWhileTheMapChanges) {
    ASSERT_TRUE(bus.map(0x500, 0x10, device));
    EchoDevice moving;
    std::atomic<bool> done = false;

    std::jthread other{[&] {
        BusReader mine{bus};
        std::array<std::byte, 1> byte{};
        do
            mine.read(0x500, byte);
        while (!done);
        EXPECT_EQ(byte[0], std::byte{0x11});
    }};
    for (int i = 0; i < 1000; ++i) {
        EXPECT_TRUE(bus.map(0x1000, 0x1000, moving));
        bus.unmap(0x1000);
    }
    done = true;
}

}  // namespace
}  // namespace vmm
