// SPDX-License-Identifier: Apache-2.0
// What the tests of the queues share: a queue, and the driver at its other end.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/flat_guest_memory.hpp"
#include "support/guest_memory_in_pieces.hpp"
#include "support/virt_queue_driver.hpp"
#include "virtio/queue.hpp"

namespace vmm::virtio {

using test::Buffer;
using test::FlatGuestMemory;
using test::GuestMemoryInPieces;
using test::RingKind;
using test::UsedBuffer;
using test::VirtQueueDriver;

inline constexpr Gpa kRings{0x10000};
inline constexpr Gpa kData{0x40000};
inline constexpr Gpa kTable{0x80000};
inline constexpr std::uint64_t kRam = 0x200000;

struct CountingEvents final : QueueEvents {
    void used_buffers(std::uint16_t) noexcept override { ++interrupts; }
    void needs_reset() noexcept override { ++resets; }
    int interrupts = 0;
    int resets = 0;
};

/// What the rules of queues hold for: each kind of ring, in one piece of the host and in pieces.
struct RingCase {
    RingKind kind = RingKind::Split;
    bool in_pieces = false;

    VirtQueueDriver::Options options(std::uint16_t size, bool event_idx = false) const {
        return {.kind = kind, .size = size, .event_idx = event_idx, .across_pages = in_pieces};
    }
};
inline constexpr std::array kRingCases{
    RingCase{RingKind::Split, false}, RingCase{RingKind::Packed, false},
    RingCase{RingKind::Split, true}, RingCase{RingKind::Packed, true}};

inline std::string name_of(const testing::TestParamInfo<RingCase>& info) {
    return std::string{info.param.kind == RingKind::Split ? "Split" : "Packed"} +
           (info.param.in_pieces ? "InPieces" : "");
}

/// A queue and its driver, in one thread. With rings across pages, each page of RAM is at a place
/// of its own for the queue.
struct Pair {
    explicit Pair(VirtQueueDriver::Options options, Features extra = 0)
        : pieces{options.across_pages ? std::make_unique<GuestMemoryInPieces>(memory, kRam)
                                      : nullptr},
          driver{memory, kRings, options} {
        features = f::kVersion1 | f::kIndirectDescriptors | extra;
        if (options.kind == RingKind::Packed)
            features |= f::kRingPacked;
        if (options.event_idx)
            features |= f::kEventIdx;
        started = queue.start(config(), features);
    }
    RingConfig config() const {
        return {.size = driver.size(),
                .descriptors = driver.descriptors(),
                .driver = driver.driver(),
                .device = driver.device()};
    }
    /// Pops one chain and completes it.
    bool serve(std::uint32_t written = 0) {
        if (!queue.pop(chain))
            return false;
        queue.complete(chain.head(), written);
        queue.publish();
        return true;
    }

    FlatGuestMemory memory{kRam};
    std::unique_ptr<GuestMemoryInPieces> pieces;
    /// RAM as the queue sees it.
    GuestMemory& queue_memory = pieces ? static_cast<GuestMemory&>(*pieces) : memory;
    CountingEvents events;
    VirtQueueDriver driver;
    Features features = 0;
    Queue queue{3, 64, *EventFd::create(), queue_memory, events};
    Chain chain;
    bool started = false;
};

/// Everything that holds for both kinds of ring.
struct QueueTest : testing::TestWithParam<RingCase> {
    Pair pair{GetParam().options(8)};
    Queue& queue = pair.queue;
    VirtQueueDriver& driver = pair.driver;
    Chain& chain = pair.chain;
    CountingEvents& events = pair.events;
};

}  // namespace vmm::virtio
