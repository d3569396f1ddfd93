// SPDX-License-Identifier: Apache-2.0
// The keys that are for the VMM and not for the guest: Ctrl-A and a letter.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace vmm {

/// Not thread-safe.
class EscapeKeys {
public:
    struct Filtered {
        std::size_t kept = 0;  ///< bytes for the guest, moved to the front
        bool quit = false;
        bool help = false;
        bool disks = false;  ///< look at their sizes again
    };

    /// Shown on Ctrl-A h.
    static constexpr std::string_view kHelp =
        "\r\n"
        "Ctrl-A x       end the guest at once\r\n"
        "Ctrl-A d       look at the sizes of the disks again\r\n"
        "Ctrl-A h       this help\r\n"
        "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

    /// Takes the keys out of what was typed. A Ctrl-A at the end waits for the next call. Ctrl-A
    /// with any other key does nothing ("c" is kept for a monitor), and nothing after "x" counts.
    Filtered filter(std::span<std::byte> typed);

private:
    bool escaped_ = false;  // the last key was Ctrl-A
};

}  // namespace vmm
