// SPDX-License-Identifier: Apache-2.0
// The first serial port.
#include <array>

#include "config/kinds/channel.hpp"
#include "config/kinds/kinds.hpp"

namespace vmm::config {
namespace {

constexpr auto kSerialKeys = std::array{
    key<&SerialConfig::mode>(
        {.name = "mode", .help = "Where the port's other end is", .choices = kModeNames}),
    key<&SerialConfig::file>(
        {.name = "file", .value = "FILE", .help = kFileHelp, .implies = "file"}),
    key<&SerialConfig::socket>(
        {.name = "socket", .value = "PATH", .help = kSocketHelp, .implies = "socket"}),
    key<&SerialConfig::link>(
        {.name = "link", .value = "PATH", .help = kLinkHelp, .implies = "pty"}),
};

}  // namespace

constexpr Object kSerialTable{.name = "SerialConfig",
                              .help = "The first serial port, ttyS0 in the guest",
                              .keys = kSerialKeys,
                              .defaults = defaults_of<SerialConfig>,
                              .replaced_whole = true};

}  // namespace vmm::config
