// SPDX-License-Identifier: Apache-2.0
// Addresses of network interfaces: as text, and made up.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/net_backend.hpp"

namespace vmm::virtio_net {

/// "52:54:00:12:34:56"; nothing for any other form.
std::optional<MacAddress> parse_mac(std::string_view text);
std::string mac_text(const MacAddress& mac);

/// An address of the locally administered kind that is always the same for the same names: the
/// machine's, and the device's within it (its id or, without one, its number).
MacAddress generated_mac(std::string_view machine, std::string_view device) noexcept;

}  // namespace vmm::virtio_net
