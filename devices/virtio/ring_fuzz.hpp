// SPDX-License-Identifier: Apache-2.0
// What the fuzzers of both rings share: a queue on memory that the input wrote, and a device that
// takes and gives back chains as the input says, while the input goes on writing.
//
// What must hold: no access outside of RAM, never more in flight than the ring has places, and a
// queue that comes to rest: pop() ends.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "support/flat_guest_memory.hpp"
#include "support/fuzz_input.hpp"
#include "support/guest_memory_in_pieces.hpp"
#include "virtio/queue.hpp"

namespace vmm::virtio {

struct IgnoreEvents final : QueueEvents {
    void used_buffers(std::uint16_t) noexcept override {}
    void needs_reset() noexcept override {}
};

/// As a device would: a header, payload, a status byte at the end.
inline void walk_through(Chain& chain, GuestMemory& memory, std::uint64_t payload) {
    Cursor reader = chain.reader();
    Cursor writer = chain.writer();
    std::array<std::byte, 40> header{};
    std::array<iovec, 8> vectors{};
    auto tail = writer.split_tail(1);
    (void)reader.copy_in(memory, header);
    (void)reader.iovecs(memory, payload, vectors);
    (void)writer.copy_out(memory, header);
    if (tail)
        (void)tail->write(memory, std::uint8_t{1});
}

/// Where the rings are: together, or each across the end of a page.
struct RingPlaces {
    explicit RingPlaces(bool in_pieces) {
        if (in_pieces) {
            descriptors = 0xf80;
            driver = 0x1ff0;
            device = 0x2fe0;
        }
    }
    /// As if they were together.
    Gpa at(std::uint64_t offset) const {
        if (offset < 0x200)
            return Gpa{descriptors + offset};
        return Gpa{offset < 0x300 ? driver + offset - 0x200 : device + offset - 0x300};
    }
    std::uint64_t descriptors = 0;
    std::uint64_t driver = 0x200;
    std::uint64_t device = 0x300;
};

/// The input writes into the rings.
inline void scribble(test::FuzzInput& input, test::FlatGuestMemory& memory,
                     const RingPlaces& places, std::size_t size) {
    const std::uint64_t at = input.take<std::uint16_t>() % 0x400u;
    const auto bytes = input.take_bytes(size);
    std::memcpy(memory.host(places.at(at), 0x100), bytes.data(), bytes.size());
}

/// The driver of a split ring moves its index on.
inline void offer_one(test::FlatGuestMemory& memory, const RingPlaces& places) {
    std::byte& index = *memory.host(places.at(0x202));
    index = static_cast<std::byte>(std::to_integer<int>(index) + 1);
}

inline void complete_one(Queue& queue, std::vector<Head>& taken, std::uint8_t step) {
    if (taken.empty())
        return;
    const auto which = static_cast<std::ptrdiff_t>(step % taken.size());
    queue.complete(taken[static_cast<std::size_t>(which)], step);
    taken.erase(taken.begin() + which);
}

inline Features features_of(std::uint8_t options, bool packed) {
    Features features = f::kVersion1;
    features |= packed ? f::kRingPacked : 0;
    features |= (options & 0x20) != 0 ? f::kEventIdx : 0;
    features |= (options & 0x40) != 0 ? f::kIndirectDescriptors : 0;
    features |= (options & 0x80) != 0 ? f::kInOrder : 0;
    return features;
}

enum class RingLayout : std::uint8_t { InOnePiece, InPieces };

// 64 KiB of RAM: rings at the start, everything else is where the input's pointers may lead. In
// pieces, each page is at a place of its own for the queue.
inline void fuzz_ring(test::FuzzInput input, bool packed,
                      RingLayout layout = RingLayout::InOnePiece) {
    constexpr std::uint64_t kRam = 0x10000;
    static test::FlatGuestMemory memory{kRam};
    static test::GuestMemoryInPieces pieces{memory, kRam};
    const bool in_pieces = layout == RingLayout::InPieces;
    GuestMemory& queue_memory = in_pieces ? static_cast<GuestMemory&>(pieces) : memory;
    const RingPlaces places{in_pieces};
    static Chain chain;
    const auto options = input.take<std::uint8_t>();
    const auto size = static_cast<std::uint16_t>(packed ? 1 + options % 16 : 1u << options % 5);
    std::memset(memory.host(Gpa{0}, kRam), 0, kRam);

    IgnoreEvents events;
    Queue queue{0, 16, *EventFd::create(), queue_memory, events};
    const RingConfig config{.size = size,
                            .descriptors = places.at(0),
                            .driver = places.at(0x200),
                            .device = places.at(0x300)};
    if (!queue.start(config, features_of(options, packed)))
        std::abort();

    std::vector<Head> taken;
    bool just_popped = false;  // only then may it be given back
    while (!input.empty()) {
        const auto step = input.take<std::uint8_t>();
        switch (step % 6) {
            case 0:
                scribble(input, memory, places, step >> 3);
                break;
            case 1:
                // As a driver would: one more chain.
                if (!packed)
                    offer_one(memory, places);
                break;
            case 2:
                just_popped = queue.pop(chain);
                if (just_popped) {
                    taken.push_back(chain.head());
                    walk_through(chain, queue_memory, step);
                }
                break;
            case 3:
                just_popped = false;
                complete_one(queue, taken, step);
                break;
            case 4:
                queue.publish();
                queue.disable_kicks();
                (void)queue.enable_kicks();
                break;
            default:
                if (just_popped && !queue.broken()) {
                    queue.unpop(taken.back());
                    taken.pop_back();
                }
                just_popped = false;
                break;
        }
        if (!queue.broken() && queue.in_flight() > size)
            std::abort();
    }
}

}  // namespace vmm::virtio
