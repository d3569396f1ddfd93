// SPDX-License-Identifier: Apache-2.0
// The guest's last output on its way to whoever reads it, when no vCPU runs any more.
//
// What the guest has written is in its rings, from where the consoles' threads bring it as soon as
// the host's side has room, and in the buffers of the host's side, from where somebody has to take
// it. Threads: the machine's main thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "backends/char/char_backend.hpp"

namespace vmm::machine {

struct LastOutput {
    CharBackend& backend;
    std::string name;                              ///< "serial port"
    std::function<bool()> device_has_more;         ///< empty: the device keeps nothing back
    std::function<std::uint64_t()> drop_device{};  ///< what it keeps back; says how many bytes
};

/// Goes on until all of it is with a reader, or for `at_most`. All sides have turns: one that
/// nobody reads does not take the time of the others.
void let_out(std::span<const LastOutput> sides, std::chrono::milliseconds at_most);

/// Drops what is left, and says of each side what was lost and why; nothing of one that lost none.
std::vector<std::string> drop_rest(std::span<const LastOutput> sides);

}  // namespace vmm::machine
