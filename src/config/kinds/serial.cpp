// SPDX-License-Identifier: Apache-2.0
// The first serial port.
#include <array>

#include "config/foreign_keys.hpp"
#include "config/kinds/channel.hpp"
#include "config/kinds/kinds.hpp"

namespace vmm::config {
namespace {

using enum ForeignKey::Normal;

constexpr auto kKeys = std::array{
    key<&SerialConfig::mode>(
        {.name = "mode", .help = "Where the port's other end is", .choices = kModeNames}),
    file_key<&SerialConfig::file>(),
    socket_key<&SerialConfig::socket>(),
    link_key<&SerialConfig::link>(),
};

constexpr auto kForeignKeys = std::array{
    ForeignKey{"iommu", Off, {}, "A serial port does no DMA: leave it out."},
};

void add_channels(const VmConfig& config, std::vector<Channel>& channels) {
    channels.push_back(channel_of({.key = "serial", .flag = "--serial"}, kSerial.noun, "--serial ",
                                  config.serial));
}

}  // namespace

constexpr DeviceSchema kSerial{
    .table = {.name = "SerialConfig",
              .help = "The first serial port, ttyS0 in the guest (on aarch64: ttyAMA0)",
              .keys = kKeys,
              .defaults = defaults_of<SerialConfig>,
              .replaced_whole = true,
              .foreign = kForeignKeys},
    .noun = "the serial port",
    .add_channels = add_channels};

}  // namespace vmm::config
