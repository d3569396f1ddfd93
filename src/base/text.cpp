// SPDX-License-Identifier: Apache-2.0
#include "vmm/text.hpp"

namespace vmm {

std::string join(std::initializer_list<std::string_view> parts) {
    std::size_t size = 0;
    for (const auto part : parts)
        size += part.size();
    std::string text;
    text.reserve(size);
    for (const auto part : parts)
        text += part;
    return text;
}

}  // namespace vmm
