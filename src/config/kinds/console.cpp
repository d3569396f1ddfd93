// SPDX-License-Identifier: Apache-2.0
// The virtio console.
#include <array>
#include <cstdint>
#include <optional>

#include "config/foreign_keys.hpp"
#include "config/kinds/channel.hpp"
#include "config/kinds/kinds.hpp"

namespace vmm::config {
namespace {

using enum ForeignKey::Normal;

constexpr auto kKeys = std::array{
    key<&ConsoleConfig::mode>(
        {.name = "mode", .help = "Where the console's other end is", .choices = kModeNames}),
    file_key<&ConsoleConfig::file>(),
    socket_key<&ConsoleConfig::socket>(),
    link_key<&ConsoleConfig::link>(),
    key<&ConsoleConfig::packed>(
        {.name = "packed", .help = "Offer the packed ring, for console_ports too"}),
    slot_key<&ConsoleConfig::pci_device_id>(),
};

constexpr auto kForeignKeys = std::array{
    ForeignKey{"iommu", Off, {}, kNoIommu},
    ForeignKey{"pci_segment", Zero, {}, kOneSegment},
    ForeignKey{"id", Absent, {}, "Its name is console: leave it out."},
};

constexpr auto kForeignDebugConsoleKeys = std::array{
    ForeignKey{"mode", Text, "off", kNoDevice},
    ForeignKey{"file", Absent, {}, kNoDevice},
    ForeignKey{"iobase", Number, "233", kNoDevice},
};
constexpr auto kForeignBelow =
    std::array{ForeignObject{"DebugConsoleConfig", kForeignDebugConsoleKeys}};

std::size_t pci_devices(const VmConfig& config) {
    return config.console.mode != ConsoleMode::Off ? 1 : 0;
}

std::optional<std::uint8_t> slot(const VmConfig& config, std::size_t) {
    return config.console.pci_device_id;
}

void add_channels(const VmConfig& config, std::vector<Channel>& channels) {
    channels.push_back(channel_of({.key = "console", .flag = "--console"}, kConsole.noun,
                                  "--console ", config.console));
}

}  // namespace

constexpr DeviceSchema kConsole{.table = {.name = "ConsoleConfig",
                                          .help = "The virtio console, hvc0 in the guest",
                                          .keys = kKeys,
                                          .defaults = defaults_of<ConsoleConfig>,
                                          .replaced_whole = true,
                                          .foreign = kForeignKeys,
                                          .foreign_below = kForeignBelow},
                                .noun = "the console",
                                .name = "console",
                                .pci_devices = pci_devices,
                                .slot = slot,
                                .add_channels = add_channels};

}  // namespace vmm::config
