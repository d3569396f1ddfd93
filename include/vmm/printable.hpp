// SPDX-License-Identifier: Apache-2.0
// What may be shown of text that a guest or an image file chose.
#pragma once

namespace vmm {

/// Printable ASCII: what no terminal takes for a command. Bytes from 0x80 on are none, since with
/// them a terminal can be told something as well (U+009B).
constexpr bool is_printable(char c) {
    return c >= ' ' && c <= '~';
}

}  // namespace vmm
