// SPDX-License-Identifier: Apache-2.0
// What all PrimeCell peripherals of Arm share: the identification at the end of their registers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace vmm {

inline constexpr std::uint64_t kPrimeCellSize = 0x1000;  // bytes of registers

/// Which PrimeCell a device is. Spec: "Peripheral identification registers" and "PrimeCell
/// identification registers" of each manual, for instance DDI 0183G, 3.3.16 and 3.3.17.
struct PrimeCellId {
    std::uint16_t part;     ///< 12 bits, such as 0x011
    std::uint8_t revision;  ///< 4 bits

    /// Of the register at `offset`, if it is one of the eight.
    constexpr std::optional<std::uint8_t> at(std::uint64_t offset) const {
        constexpr std::uint64_t first = 0xfe0;
        constexpr unsigned arm = 0x41;  // the designer
        if (offset < first || offset >= kPrimeCellSize || offset % 4 != 0)
            return std::nullopt;
        const std::array<unsigned, 8> registers{part & 0xffU,
                                                (arm & 0xfU) << 4U | part >> 8U,
                                                unsigned{revision} << 4U | arm >> 4U,
                                                0x00,  // configuration
                                                0x0d,
                                                0xf0,
                                                0x05,
                                                0xb1};
        return static_cast<std::uint8_t>(registers[(offset - first) / 4]);
    }
};

}  // namespace vmm
