// SPDX-License-Identifier: Apache-2.0
// A place in the configuration, as messages name it. Made of constants, so that it costs nothing
// as long as there is no message.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/text.hpp"

namespace vmm::config {

struct Place {
    std::string_view key;
    std::optional<std::size_t> index{};  ///< in a list
    std::string_view member{};           ///< empty: all of it
    std::string_view flag{};

    /// "console_ports[0].file"
    std::string path() const {
        auto text = index ? cat(key, "[", *index, "]") : std::string{key};
        return member.empty() ? text : cat(text, ".", member);
    }
    /// "console_ports[0].file (--console-port)"
    std::string text() const { return cat(path(), " (", flag, ")"); }

    Place with_member(std::string_view name) const { return {key, index, name, flag}; }
};

}  // namespace vmm::config
