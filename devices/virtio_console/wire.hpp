// SPDX-License-Identifier: Apache-2.0
// What a console and its driver tell each other: features, configuration space, control messages.
//
// Spec: virtio 1.3, 5.3.3, 5.3.4 and 5.3.6.2. Little endian.
#pragma once

#include <cstddef>
#include <cstdint>

#include "virtio/features.hpp"

namespace vmm::virtio_console {

namespace f {
inline constexpr virtio::Features kSize = virtio::feature(0);
inline constexpr virtio::Features kMultiport = virtio::feature(1);
inline constexpr virtio::Features kEmergencyWrite = virtio::feature(2);
}  // namespace f

/// Characters.
struct Size {
    std::uint16_t columns = 0;
    std::uint16_t rows = 0;

    bool operator==(const Size&) const = default;
};

struct ConfigSpace {
    Size size;
    std::uint32_t max_ports = 1;
    std::uint32_t emergency_write = 0;  ///< write only: the lowest byte goes out at once
};
static_assert(sizeof(ConfigSpace) == 12 && offsetof(ConfigSpace, emergency_write) == 8);

enum class Event : std::uint16_t {
    DeviceReady = 0,  ///< driver: it understands control messages (or does not: value 0)
    DeviceAdd = 1,    ///< device: there is such a port
    PortReady = 3,    ///< driver: it can use the port (or cannot: value 0)
    ConsolePort = 4,  ///< device: a user sits there
    Resize = 5,       ///< device: a Size follows
    PortOpen = 6,     ///< both: somebody uses the port (value 1) or does not any more
    PortName = 7,     ///< device: the name follows, without a zero at its end
};

struct ControlMessage {
    std::uint32_t port = 0;
    Event event = Event::DeviceReady;
    std::uint16_t value = 0;
};
static_assert(sizeof(ControlMessage) == 8 && offsetof(ControlMessage, value) == 6);

inline constexpr std::size_t kMaxPorts = 31;
inline constexpr std::size_t kMaxName = 64;  // bytes

}  // namespace vmm::virtio_console
