// SPDX-License-Identifier: Apache-2.0
#include "backends/char/escape_keys.hpp"

namespace vmm {
namespace {

constexpr std::byte kEscape{0x01};  // Ctrl-A

}  // namespace

EscapeKeys::Filtered EscapeKeys::filter(std::span<std::byte> typed) {
    Filtered result;
    for (const std::byte key : typed) {
        if (!escaped_) {
            escaped_ = key == kEscape;
            if (!escaped_)
                typed[result.kept++] = key;
            continue;
        }
        escaped_ = false;
        switch (std::to_integer<char>(key)) {
            case '\x01':
                typed[result.kept++] = kEscape;
                break;
            case 'x':
            case 'X':
                result.quit = true;
                return result;
            case 'd':
            case 'D':
                result.disks = true;
                break;
            case 'h':
            case 'H':
            case '?':
                result.help = true;
                break;
            default:
                break;
        }
    }
    return result;
}

}  // namespace vmm
