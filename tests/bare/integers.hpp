// SPDX-License-Identifier: Apache-2.0
// Integers of known widths, by their short names.
#pragma once

#include <cstddef>
#include <cstdint>

namespace guest {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

}  // namespace guest
