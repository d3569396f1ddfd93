// SPDX-License-Identifier: Apache-2.0
// What a configuration has to know of the board that the architecture's machine is:
// src/config/<architecture>/ has it. Threads: any.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace vmm::config {

/// I/O ports or addresses that are a device's already.
struct InUse {
    enum class When : std::uint8_t { Always, WithSerial, WithPci };

    std::uint32_t first;
    std::uint32_t count;
    When when;
    std::string_view whose;

    bool operator==(const InUse&) const = default;
};

struct Board {
    std::string_view serial_console;  ///< what Linux calls the serial port
    std::string_view exit_space;      ///< "ports": what --debug-exit counts
    std::uint32_t last_exit = 0;      ///< of those
    std::string_view free_exit;       ///< "0xf4": one that nothing uses
    std::span<const InUse> in_use;
};

const Board& board() noexcept;

}  // namespace vmm::config
