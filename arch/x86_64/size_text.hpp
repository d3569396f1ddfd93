// Sizes for a person: "512 MiB", "11.3 MiB", "17 bytes".
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/text.hpp"

namespace vmm::x86_64 {

inline std::string size_text(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 5> kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
    std::uint64_t tenths = bytes * 10;
    if (bytes > ~std::uint64_t{0} / 10)
        return cat(bytes >> 40, " TiB");
    std::size_t unit = 0;
    while (tenths >= 10240 && unit + 1 < kUnits.size()) {
        tenths /= 1024;
        ++unit;
    }
    if (tenths % 10 == 0)
        return cat(tenths / 10, " ", kUnits[unit]);
    return cat(tenths / 10, ".", tenths % 10, " ", kUnits[unit]);
}

}  // namespace vmm::x86_64
