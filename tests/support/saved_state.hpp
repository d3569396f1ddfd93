// SPDX-License-Identifier: Apache-2.0
// What tests of parts that can be saved share: bytes in, bytes out, and states that somebody has
// tampered with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/stateful.hpp"

namespace vmm::test {

using State = std::vector<std::byte>;

inline State saved(Stateful& part) {
    StateWriter writer;
    part.save(writer);
    return writer.take();
}

/// The error's text; empty: it was taken, and nothing is left over.
inline std::string restored(Stateful& part, std::span<const std::byte> state) {
    StateReader reader{state, "test"};
    const auto done = part.restore(reader);
    if (!done)
        return done.error().one_line();
    const auto rest = reader.done();
    return rest ? std::string{} : rest.error().one_line();
}

/// Cut short at every length, and with every byte changed to values that hurt: how many of these
/// left a part that refused them changed, or were taken for something that saves as other bytes.
inline unsigned half_taken_states(Stateful& part) {
    const State good = saved(part);
    unsigned count = 0;
    const auto look = [&](const State& state) {
        const State before = saved(part);
        const bool taken = restored(part, state).empty();
        if (saved(part) != (taken ? state : before))
            ++count;
        if (!restored(part, good).empty())
            ++count;
    };
    for (std::size_t length = 0; length < good.size(); ++length)
        look(State{good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)});
    for (std::size_t at = 0; at < good.size(); ++at)
        for (const unsigned change : {0x01u, 0x02u, 0x10u, 0x40u, 0x7fu, 0x80u, 0xffu}) {
            State state = good;
            state[at] ^= std::byte{static_cast<unsigned char>(change)};
            look(state);
        }
    return count;
}

}  // namespace vmm::test
