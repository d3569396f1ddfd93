// SPDX-License-Identifier: Apache-2.0
// What the serial port, the console and its ports share: the host's side of a stream of bytes.
#pragma once

#include <array>
#include <string_view>

#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

inline constexpr std::array<std::string_view, 6> kModeNames{"off", "null", "tty",
                                                            "pty", "file", "socket"};
static_assert(kModeNames[static_cast<std::size_t>(ConsoleMode::Socket)] == "socket");
static_assert(kModeNames[static_cast<std::size_t>(ConsoleMode::Tty)] == "tty");

inline constexpr std::string_view kFileHelp =
    "File that takes the output, emptied at the start; a descriptor that is open already "
    "(/dev/stdout, /dev/fd/N) is written to as it is; makes the mode file";
inline constexpr std::string_view kSocketHelp =
    "Unix socket to listen on, one client at a time, of whom the newest wins; makes the mode "
    "socket";
inline constexpr std::string_view kLinkHelp =
    "Symbolic link to the pty, for a name that stays the same; makes the mode pty";

/// The rules for each of them, and for any two of them.
Result<> check_consoles(const VmConfig& config);

}  // namespace vmm::config
