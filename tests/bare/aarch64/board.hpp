// SPDX-License-Identifier: Apache-2.0
// Where things lie on the Arm board.
#pragma once

#include "integers.hpp"

namespace guest {

inline constexpr u64 kDistributor = 0x0800'0000;
inline constexpr u64 kIts = 0x0808'0000;
inline constexpr u64 kRedistributors = 0x080a'0000;
inline constexpr u64 kRedistributorSize = 0x2'0000;  // for each CPU
inline constexpr u64 kUart = 0x0900'0000;
inline constexpr u64 kClock = 0x0901'0000;
inline constexpr u64 kGpio = 0x0903'0000;
inline constexpr u64 kDebugExit = 0x0a00'0000;  // as the host is told to put it
inline constexpr u64 kEcam = 0x3f00'0000;

inline constexpr u64 kRamStart = 0x4000'0000;
/// Where BARs may lie, and from where on none does.
inline constexpr u32 kBarsStart = 0x1000'0000;
inline constexpr u32 kFreeBars = 0x3000'0000;
inline constexpr u32 kBarsEnd = 0x3f00'0000;
/// Where nothing is, neither RAM nor a device.
inline constexpr u32 kNowhere = 0x0b00'0000;

/// The interrupt controllers: the one that messages go to, and the one that pins go to.
inline constexpr u64 kMessageController = kIts;
inline constexpr u64 kPinController = kDistributor;
inline constexpr u32 kControllerVersion = 0x04;  // a register of the first that says what it is
/// Where messages are written to: GITS_TRANSLATER.
inline constexpr u64 kMessageAddress = kIts + 0x1'0040;

}  // namespace guest
