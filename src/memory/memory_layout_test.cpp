// SPDX-License-Identifier: Apache-2.0
// Device memory that comes and goes beside RAM.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "memory/guest_ram.hpp"

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::array kRam{GpaRange{Gpa{0}, 2 * kMiB}};

/// Has the regions that it was told of, and can follow a number of additions.
struct Follower final : MemoryObserver {
    Result<> memory_added(const MemoryRegion& region) override {
        if (can_follow == 0)
            return std::unexpected(Error{ErrorKind::Os, "no slot is free"});
        --can_follow;
        there.push_back(region.range.first);
        kinds.push_back(region.kind);
        return {};
    }
    void memory_removed(const MemoryRegion& region) noexcept override {
        std::erase(there, region.range.first);
    }
    std::vector<Gpa> there;
    std::vector<MemoryKind> kinds;
    int can_follow = 100;
};

struct MemoryLayoutTest : testing::Test {
    MemoryRegion at(std::uint64_t where) { return memory.at(Gpa{where}); }

    alignas(4096) std::array<std::byte, 2 * 4096> bytes{};
    DeviceMemory memory{.host = bytes.data(), .size = bytes.size()};
    std::unique_ptr<GuestRam> ram = std::move(*GuestRam::create(kRam, {}));
    Follower follower;
};

TEST_F(MemoryLayoutTest, ObserverIsToldOfDeviceMemoryThatComesAndGoes) {
    ASSERT_TRUE(ram->subscribe(follower));

    ASSERT_TRUE(ram->add(at(8 * kMiB)));
    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}, Gpa{8 * kMiB}));
    EXPECT_THAT(follower.kinds, ElementsAre(MemoryKind::Ram, MemoryKind::Device));
    ram->remove(at(8 * kMiB));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}));
}

TEST_F(MemoryLayoutTest, LateSubscriberGetsAReplayOfWhatIsThere) {
    ASSERT_TRUE(ram->add(at(8 * kMiB)));
    ASSERT_TRUE(ram->add(at(16 * kMiB)));
    ram->remove(at(8 * kMiB));

    ASSERT_TRUE(ram->subscribe(follower));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}, Gpa{16 * kMiB}));
}

TEST_F(MemoryLayoutTest, OverlapIsRefusedAndNobodyIsTold) {
    ASSERT_TRUE(ram->subscribe(follower));
    ASSERT_TRUE(ram->add(at(8 * kMiB)));

    EXPECT_FALSE(ram->add(at(2 * kMiB - 4096)));  // RAM
    EXPECT_FALSE(ram->add(at(8 * kMiB + 4096)));
    EXPECT_FALSE(ram->add(at(8 * kMiB - 4096)));
    EXPECT_TRUE(ram->add(at(8 * kMiB + 2 * 4096)));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}, Gpa{8 * kMiB}, Gpa{8 * kMiB + 2 * 4096}));
}

TEST_F(MemoryLayoutTest, WhatOneObserverCannotFollowIsTakenBackFromTheOthers) {
    Follower full;
    full.can_follow = 1;  // RAM
    ASSERT_TRUE(ram->subscribe(follower));
    ASSERT_TRUE(ram->subscribe(full));

    EXPECT_FALSE(ram->add(at(8 * kMiB)));

    EXPECT_THAT(follower.there, ElementsAre(Gpa{0}));
    full.can_follow = 1;
    EXPECT_TRUE(ram->add(at(8 * kMiB)));
}

TEST_F(MemoryLayoutTest, SubscriberThatCannotFollowIsLeftWithNothing) {
    ASSERT_TRUE(ram->add(at(8 * kMiB)));
    follower.can_follow = 1;

    EXPECT_FALSE(ram->subscribe(follower));

    EXPECT_THAT(follower.there, IsEmpty());
    ram->remove(at(8 * kMiB));
}

TEST_F(MemoryLayoutTest, DeviceMemoryIsNotRam) {
    ASSERT_TRUE(ram->add(at(8 * kMiB)));

    EXPECT_FALSE(ram->write(Gpa{8 * kMiB}, std::uint32_t{1}));
    EXPECT_FALSE(ram->view(Gpa{8 * kMiB}, 8));
    EXPECT_EQ(ram->regions().size(), 1u);
}

}  // namespace
}  // namespace vmm
