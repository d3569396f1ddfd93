// SPDX-License-Identifier: Apache-2.0
// A published port: which port of the host leads to which port of the guest.
//
// Written as Docker does: [ADDRESS:]HOST:GUEST[/tcp|/udp], where HOST and GUEST are a port or a
// range of ports. An IPv6 address stands between brackets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/error.hpp"

namespace vmm::config {

struct PublishRule {
    /// Of the host, where it listens; as text without brackets.
    std::string address = "127.0.0.1";
    std::uint16_t host_first = 0;
    std::uint16_t host_last = 0;
    std::uint16_t guest_first = 0;
    bool tcp = true;
    bool udp = true;

    bool operator==(const PublishRule&) const = default;
};

Result<PublishRule> parse_publish(std::string_view text);

/// Whether both want one port of the host. Two rules of one device may not even have a port at
/// different addresses: passt has one guest port for each port of the host.
bool clash(const PublishRule& a, const PublishRule& b, bool one_device);

}  // namespace vmm::config
