// SPDX-License-Identifier: Apache-2.0
// The entropy device.
#include <array>

#include "config/kinds/kinds.hpp"

namespace vmm::config {
namespace {

constexpr auto kRngKeys = std::array{
    key<&RngConfig::src>({.name = "src",
                          .value = "FILE",
                          .help = "Where the bytes come from; the host kernel's generator if not "
                                  "given"}),
    key<&RngConfig::packed>({.name = "packed", .help = "Offer the packed ring"}),
};

}  // namespace

constexpr Object kRngTable{.name = "RngConfig",
                           .help = "A virtio entropy device",
                           .keys = kRngKeys,
                           .defaults = defaults_of<RngConfig>};

}  // namespace vmm::config
