// SPDX-License-Identifier: Apache-2.0
// Virtqueues in the RAM that a machine has, where a ring may cross from one region into the next.
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "memory/guest_ram.hpp"
#include "virtio/queue.hpp"

namespace vmm {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint16_t kSize = 512;
// The descriptor table has two pages, the rings behind it lie in the next ones.
constexpr Gpa kDescriptors{kPage / 2};
constexpr Gpa kAvail{kDescriptors.value() + 16 * kSize};
constexpr Gpa kUsed{kAvail.value() + kPage};
constexpr Gpa kData{0x20000};

struct NoEvents final : virtio::QueueEvents {
    void used_buffers(std::uint16_t) noexcept override {}
    void needs_reset() noexcept override { broken = true; }
    bool broken = false;
};

/// Each page up to 64 KiB is a region of its own; after a hole there is one more.
struct RingsInRamTest : testing::Test {
    RingsInRamTest() {
        std::array<GpaRange, 17> ranges{};
        for (std::uint64_t i = 0; i < 16; ++i)
            ranges[i] = {Gpa{i * kPage}, kPage};
        ranges[16] = {kData, kPage};
        ram = std::move(GuestRam::create(ranges, {}).value());
    }
    virtio::RingConfig rings() const {
        return {.size = kSize, .descriptors = kDescriptors, .driver = kAvail, .device = kUsed};
    }
    /// The driver makes one chain of one buffer available.
    bool offer(std::uint16_t number) {
        const std::uint16_t place = number % kSize;
        const virtio::SplitDescriptor buffer{
            .at = kData.value(), .length = 1u + number, .flags = 0, .next = 0};
        return ram->write(Gpa{kDescriptors.value() + 16u * place}, buffer) &&
               ram->write(Gpa{kAvail.value() + 4 + 2u * place}, place) &&
               ram->write(Gpa{kAvail.value() + 2}, static_cast<std::uint16_t>(number + 1));
    }

    std::unique_ptr<GuestRam> ram;
    NoEvents events;
};

TEST_F(RingsInRamTest, EveryPlaceOfARingThatCrossesRegionsWorks) {
    virtio::Queue queue{0, kSize, *EventFd::create(), *ram, events};
    ASSERT_TRUE(queue.start(rings(), virtio::f::kVersion1));
    virtio::Chain chain;
    for (std::uint16_t i = 0; i < 3 * kSize; ++i) {
        ASSERT_TRUE(offer(i));
        ASSERT_TRUE(queue.pop(chain)) << i;
        ASSERT_EQ(chain.readable_bytes(), 1u + i);
        queue.complete(chain.head(), i);
        queue.publish();
        const Gpa used{kUsed.value() + 4 + 8u * (i % kSize)};
        ASSERT_EQ(ram->read<std::uint32_t>(Gpa{used.value() + 4}), i);
        ASSERT_EQ(ram->read<std::uint16_t>(Gpa{kUsed.value() + 2}), i + 1);
    }
    EXPECT_FALSE(events.broken);
}

TEST_F(RingsInRamTest, RingThatRunsIntoAHoleIsRefused) {
    virtio::Queue queue{0, kSize, *EventFd::create(), *ram, events};
    virtio::RingConfig into_a_hole = rings();
    into_a_hole.descriptors = Gpa{15 * kPage};  // 64 KiB is the end

    EXPECT_FALSE(queue.start(into_a_hole, virtio::f::kVersion1));
}

}  // namespace
}  // namespace vmm
