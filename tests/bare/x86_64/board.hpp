// SPDX-License-Identifier: Apache-2.0
// Where things lie on a PC.
#pragma once

#include "integers.hpp"

namespace guest {

inline constexpr u64 kEcam = 0xe000'0000;
inline constexpr u64 kIoApic = 0xfec0'0000;
inline constexpr u64 kLocalApic = 0xfee0'0000;

inline constexpr u64 kRamStart = 0;
/// Free for BARs: from here to kBarsEnd.
inline constexpr u32 kFreeBars = 0xd000'0000;
inline constexpr u32 kBarsStart = 0xc000'0000;
inline constexpr u32 kBarsEnd = 0xe000'0000;
/// Where nothing is, neither RAM nor a device.
inline constexpr u32 kNowhere = 0xf000'0000;

/// The interrupt controllers: the one that messages go to, and the one that pins go to.
inline constexpr u64 kMessageController = kLocalApic;
inline constexpr u64 kPinController = kIoApic;
inline constexpr u32 kControllerVersion = 0x30;  // a register of the first that says what it is
/// Where messages are written to; here, those for CPU 0.
inline constexpr u64 kMessageAddress = kLocalApic;

}  // namespace guest
