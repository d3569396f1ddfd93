// SPDX-License-Identifier: Apache-2.0
// The host's side of a serial port or console, with as much room as the test gives it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <string>

#include "vmm/byte_channel.hpp"

namespace vmm::test {

struct FakeByteSink final : ByteSink {
    std::string seen;
    std::size_t room = std::numeric_limits<std::size_t>::max();  ///< bytes it still takes
    unsigned resumed = 0;                                        ///< calls of resume_input()
    std::size_t lost = 0;                                        ///< bytes, of count_lost()

    std::size_t write(std::span<const std::byte> bytes) noexcept override {
        const std::size_t taken = std::min(room, bytes.size());
        for (const std::byte byte : bytes.first(taken))
            seen.push_back(static_cast<char>(byte));
        room -= taken;
        return taken;
    }
    void count_lost(std::size_t bytes) noexcept override { lost += bytes; }
    void resume_input() noexcept override { ++resumed; }
};

}  // namespace vmm::test
