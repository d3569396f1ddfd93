// SPDX-License-Identifier: Apache-2.0
// What the serial port, the console and its ports share: the host's side of a stream of bytes.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "config/place.hpp"
#include "config/schema.hpp"
#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

inline constexpr std::array<std::string_view, 6> kModeNames{"off", "null", "tty",
                                                            "pty", "file", "socket"};
static_assert(kModeNames[static_cast<std::size_t>(ConsoleMode::Socket)] == "socket");
static_assert(kModeNames[static_cast<std::size_t>(ConsoleMode::Tty)] == "tty");

// The keys that say where the bytes go; each makes the mode that it needs.

template <auto Pointer>
constexpr Key file_key() {
    return key<Pointer>(
        {.name = "file",
         .value = "FILE",
         .help = "File that takes the output, emptied at the start; a descriptor that is open "
                 "already (/dev/stdout, /dev/fd/N) is written to as it is; makes the mode file",
         .implies = "file"});
}
template <auto Pointer>
constexpr Key socket_key() {
    return key<Pointer>({.name = "socket",
                         .value = "PATH",
                         .help = "Unix socket to listen on, one client at a time, of whom the "
                                 "newest wins; makes the mode socket",
                         .implies = "socket"});
}
template <auto Pointer>
constexpr Key link_key() {
    return key<Pointer>({.name = "link",
                         .value = "PATH",
                         .help = "Symbolic link to the pty, for a name that stays the same; makes "
                                 "the mode pty",
                         .implies = "pty"});
}

struct Channel {
    Place place;             ///< the device's or the port's
    std::string_view noun;   ///< "the console"; empty: its path
    std::string_view typed;  ///< what the user types in front of file=PATH
    ConsoleMode mode = ConsoleMode::Off;
    const std::string& file;
    const std::string& socket;
    const std::string& link;

    std::string name() const { return noun.empty() ? place.path() : std::string{noun}; }
};

/// `end` has the host's side: a SerialConfig, a ConsoleConfig, a ConsolePortConfig.
template <class Config>
Channel channel_of(Place place, std::string_view noun, std::string_view typed, const Config& end) {
    return {place, noun, typed, end.mode, end.file, end.socket, end.link};
}

/// Those of all kinds, in the list's order. The configuration outlives them.
std::vector<Channel> channels_of(const VmConfig& config);

/// The rules for each of them, then those of the kinds that have any, then for any two channels.
Result<> check_channels(const VmConfig& config);

}  // namespace vmm::config
