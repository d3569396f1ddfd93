// SPDX-License-Identifier: Apache-2.0
// Sizes in messages: "512 MiB", "11.3 MiB", "17 bytes". (What a configuration takes as a size is
// config/value_text.hpp's.)
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/text.hpp"

namespace vmm {

/// In the largest unit that says it exactly with one decimal; when that takes more than five
/// digits, rounded down in the largest unit of all.
inline std::string size_text(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 5> kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
    constexpr std::uint64_t kMostTenths = 999'999;
    if (bytes > ~std::uint64_t{0} / 10)
        return cat(bytes >> 40, " TiB");
    const auto tenths_in = [&](std::size_t unit) { return bytes * 10 >> 10 * unit; };
    std::size_t largest = 0;
    while (largest + 1 < kUnits.size() && tenths_in(largest + 1) >= 10)
        ++largest;
    std::size_t exact = largest;
    while (tenths_in(exact) << 10 * exact != bytes * 10)
        --exact;
    const std::size_t unit = tenths_in(exact) <= kMostTenths ? exact : largest;
    const std::uint64_t tenths = tenths_in(unit);
    if (tenths % 10 == 0)
        return cat(tenths / 10, " ", kUnits[unit]);
    return cat(tenths / 10, ".", tenths % 10, " ", kUnits[unit]);
}

}  // namespace vmm
