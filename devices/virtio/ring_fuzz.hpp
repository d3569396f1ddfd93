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

/// The input writes into the rings.
inline void scribble(test::FuzzInput& input, test::FlatGuestMemory& memory, std::size_t size) {
    const std::uint64_t at = input.take<std::uint16_t>() % 0x400u;
    const auto bytes = input.take_bytes(size);
    std::memcpy(memory.host(Gpa{at}, 0x100), bytes.data(), bytes.size());
}

inline Features features_of(std::uint8_t options, bool packed) {
    Features features = f::kVersion1;
    features |= packed ? f::kRingPacked : 0;
    features |= (options & 0x20) != 0 ? f::kEventIdx : 0;
    features |= (options & 0x40) != 0 ? f::kIndirectDescriptors : 0;
    features |= (options & 0x80) != 0 ? f::kInOrder : 0;
    return features;
}

// 64 KiB of RAM: rings at the start, everything else is where the input's pointers may lead.
inline void fuzz_ring(test::FuzzInput input, bool packed) {
    constexpr std::uint64_t kRam = 0x10000;
    static test::FlatGuestMemory memory{kRam};
    static Chain chain;
    const auto options = input.take<std::uint8_t>();
    const auto size = static_cast<std::uint16_t>(packed ? 1 + options % 16 : 1u << options % 5);
    std::memset(memory.host(Gpa{0}, kRam), 0, kRam);

    IgnoreEvents events;
    Queue queue{0, 16, *EventFd::create(), memory, events};
    const RingConfig config{
        .size = size, .descriptors = Gpa{0}, .driver = Gpa{0x200}, .device = Gpa{0x300}};
    if (!queue.start(config, features_of(options, packed)))
        std::abort();

    std::vector<Head> taken;
    bool just_popped = false;  // only then may it be given back
    while (!input.empty()) {
        const auto step = input.take<std::uint8_t>();
        switch (step % 6) {
            case 0:
                scribble(input, memory, step >> 3);
                break;
            case 1:
                // As a driver would: one more chain.
                if (!packed)
                    memory.host(Gpa{0x202})[0] = static_cast<std::byte>(
                        std::to_integer<int>(memory.host(Gpa{0x202})[0]) + 1);
                break;
            case 2:
                just_popped = queue.pop(chain);
                if (just_popped) {
                    taken.push_back(chain.head());
                    walk_through(chain, memory, step);
                }
                break;
            case 3:
                just_popped = false;
                if (!taken.empty()) {
                    const auto which = static_cast<std::ptrdiff_t>(step % taken.size());
                    queue.complete(taken[static_cast<std::size_t>(which)], step);
                    taken.erase(taken.begin() + which);
                }
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
