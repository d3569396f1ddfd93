// SPDX-License-Identifier: Apache-2.0
#include "vmm/command_line.hpp"

#include <algorithm>

namespace vmm {
namespace {

/// Takes the first word off `rest`.
std::string_view next_word(std::string_view& rest) {
    constexpr std::string_view kSpaces = " \t\n";
    rest.remove_prefix(std::min(rest.find_first_not_of(kSpaces), rest.size()));
    bool quoted = false;
    std::size_t length = 0;
    for (; length < rest.size(); ++length) {
        if (rest[length] == '"')
            quoted = !quoted;
        if (!quoted && kSpaces.find(rest[length]) != std::string_view::npos)
            break;
    }
    const auto word = rest.substr(0, length);
    rest.remove_prefix(length);
    return word;
}

template <class Match>
bool any_word(std::string_view command_line, Match match) {
    while (true) {
        const auto word = next_word(command_line);
        if (word.empty() || word == "--")
            return false;
        if (match(word))
            return true;
    }
}

}  // namespace

bool has_word(std::string_view command_line, std::string_view word) {
    return any_word(command_line, [word](std::string_view one) { return one == word; });
}

bool has_word_that_starts(std::string_view command_line, std::string_view start) {
    return any_word(command_line, [start](std::string_view one) { return one.starts_with(start); });
}

}  // namespace vmm
