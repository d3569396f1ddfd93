// SPDX-License-Identifier: Apache-2.0
// Numbers that every virtio device shares: feature bits, device types, status bits.
//
// Spec: virtio 1.3, chapter 6 (reserved feature bits), chapter 5 (device types), 2.1 (status).
#pragma once

#include <cstdint>

namespace vmm::virtio {

/// A set of feature bits. Bits 0 to 23 and 50 upwards belong to the device type.
using Features = std::uint64_t;

constexpr Features feature(unsigned bit) {
    return Features{1} << bit;
}

namespace f {
inline constexpr Features kIndirectDescriptors = feature(28);
inline constexpr Features kEventIdx = feature(29);
inline constexpr Features kVersion1 = feature(32);
inline constexpr Features kAccessPlatform = feature(33);
inline constexpr Features kRingPacked = feature(34);
inline constexpr Features kInOrder = feature(35);
inline constexpr Features kRingReset = feature(40);
}  // namespace f

enum class DeviceType : std::uint16_t {
    Net = 1,
    Block = 2,
    Console = 3,
    Rng = 4,
    Balloon = 5,
    Vsock = 19,
    Fs = 26,
};

/// Bits of device_status.
namespace status {
inline constexpr std::uint8_t kAcknowledge = 1;
inline constexpr std::uint8_t kDriver = 2;
inline constexpr std::uint8_t kDriverOk = 4;
inline constexpr std::uint8_t kFeaturesOk = 8;
inline constexpr std::uint8_t kNeedsReset = 64;
inline constexpr std::uint8_t kFailed = 128;
}  // namespace status

}  // namespace vmm::virtio
