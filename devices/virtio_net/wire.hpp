// SPDX-License-Identifier: Apache-2.0
// Numbers of the virtio network device: feature bits, configuration space, control commands.
//
// Spec: virtio 1.3, 5.1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "virtio/features.hpp"
#include "vmm/net_backend.hpp"

namespace vmm::virtio_net {

// 5.1.3
namespace f {
using virtio::feature;
inline constexpr virtio::Features kCsum = feature(0);
inline constexpr virtio::Features kGuestCsum = feature(1);
inline constexpr virtio::Features kCtrlGuestOffloads = feature(2);
inline constexpr virtio::Features kMtu = feature(3);
inline constexpr virtio::Features kMac = feature(5);
inline constexpr virtio::Features kGuestTso4 = feature(7);
inline constexpr virtio::Features kGuestTso6 = feature(8);
inline constexpr virtio::Features kGuestEcn = feature(9);
inline constexpr virtio::Features kGuestUfo = feature(10);
inline constexpr virtio::Features kHostTso4 = feature(11);
inline constexpr virtio::Features kHostTso6 = feature(12);
inline constexpr virtio::Features kHostEcn = feature(13);
inline constexpr virtio::Features kHostUfo = feature(14);
inline constexpr virtio::Features kMrgRxbuf = feature(15);
inline constexpr virtio::Features kStatus = feature(16);
inline constexpr virtio::Features kCtrlVq = feature(17);
inline constexpr virtio::Features kCtrlRx = feature(18);
inline constexpr virtio::Features kCtrlRxExtra = feature(20);
inline constexpr virtio::Features kGuestAnnounce = feature(21);
inline constexpr virtio::Features kMq = feature(22);
inline constexpr virtio::Features kCtrlMacAddr = feature(23);
inline constexpr virtio::Features kGuestUso4 = feature(54);
inline constexpr virtio::Features kGuestUso6 = feature(55);
inline constexpr virtio::Features kHostUso = feature(56);

/// What CTRL_GUEST_OFFLOADS can switch (5.1.6.5.6.1).
inline constexpr virtio::Features kGuestOffloads =
    kGuestCsum | kGuestTso4 | kGuestTso6 | kGuestEcn | kGuestUfo | kGuestUso4 | kGuestUso6;
}  // namespace f

// 5.1.4
struct ConfigSpace {
    MacAddress mac{};             //  0
    std::uint16_t status = 0;     //  6
    std::uint16_t max_pairs = 0;  //  8
    std::uint16_t mtu = 0;        // 10
};
static_assert(sizeof(ConfigSpace) == 12 && offsetof(ConfigSpace, mtu) == 10);

namespace net_status {
inline constexpr std::uint16_t kLinkUp = 1;
inline constexpr std::uint16_t kAnnounce = 2;
}  // namespace net_status

// 5.1.6.5
namespace control {
inline constexpr std::uint8_t kOk = 0;
inline constexpr std::uint8_t kError = 1;

struct Header {
    std::uint8_t kind = 0;  // "class"
    std::uint8_t command = 0;
};

inline constexpr std::uint8_t kRx = 0;
inline constexpr std::uint8_t kRxAllMulti = 1;     // the last one of CTRL_RX
inline constexpr std::uint8_t kRxNoBroadcast = 5;  // the last one of CTRL_RX_EXTRA
inline constexpr std::uint8_t kMac = 1;
inline constexpr std::uint8_t kMacTableSet = 0;
inline constexpr std::uint8_t kMacAddressSet = 1;
inline constexpr std::uint8_t kAnnounce = 3;
inline constexpr std::uint8_t kAnnounceAck = 0;
inline constexpr std::uint8_t kMq = 4;
inline constexpr std::uint8_t kMqPairsSet = 0;
inline constexpr std::uint8_t kGuestOffloads = 5;
inline constexpr std::uint8_t kGuestOffloadsSet = 0;
}  // namespace control

}  // namespace vmm::virtio_net
