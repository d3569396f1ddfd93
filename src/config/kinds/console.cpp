// SPDX-License-Identifier: Apache-2.0
// The virtio console.
#include <array>

#include "config/kinds/channel.hpp"
#include "config/kinds/kinds.hpp"

namespace vmm::config {
namespace {

constexpr auto kConsoleKeys = std::array{
    key<&ConsoleConfig::mode>(
        {.name = "mode", .help = "Where the console's other end is", .choices = kModeNames}),
    key<&ConsoleConfig::file>(
        {.name = "file", .value = "FILE", .help = kFileHelp, .implies = "file"}),
    key<&ConsoleConfig::socket>(
        {.name = "socket", .value = "PATH", .help = kSocketHelp, .implies = "socket"}),
    key<&ConsoleConfig::link>(
        {.name = "link", .value = "PATH", .help = kLinkHelp, .implies = "pty"}),
    key<&ConsoleConfig::packed>(
        {.name = "packed", .help = "Offer the packed ring, for console_ports too"}),
};

}  // namespace

constexpr Object kConsoleTable{.name = "ConsoleConfig",
                               .help = "The virtio console, hvc0 in the guest",
                               .keys = kConsoleKeys,
                               .defaults = defaults_of<ConsoleConfig>,
                               .replaced_whole = true};

}  // namespace vmm::config
