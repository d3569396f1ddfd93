// SPDX-License-Identifier: Apache-2.0
// A network without privileges: passt, as a process of its own, on one end of a socket pair.
//
// Needs passt 2023-01 or later (--fd). passt ends by itself when our end of the socket closes,
// however that comes about; it serves the host's addresses by DHCP and NDP, and forwards published
// ports, and no others. A guest reaches services on the host's loopback under the address of its
// gateway. Threads: vmm/net_backend.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm/error.hpp"
#include "vmm/net_backend.hpp"

namespace vmm {

/// Ports of the host that lead to the guest.
struct PasstForward {
    std::string address;  ///< of the host, IPv4 or IPv6
    std::uint16_t host_first = 0;
    std::uint16_t host_last = 0;
    std::uint16_t guest_first = 0;
    bool tcp = true;
    bool udp = true;
};

struct PasstOptions {
    std::vector<PasstForward> publish;
    /// The largest that passt can do, since it has no segmentation offloads.
    std::uint16_t mtu = 65520;
    std::string program = "passt";  ///< a path, or a name to look for in PATH
};

/// Starts it and waits until it has found its network and bound its ports, or said why not.
Result<std::unique_ptr<NetBackend>> start_passt(const PasstOptions& options);

}  // namespace vmm
