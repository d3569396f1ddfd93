#include "x86_64/command_line.hpp"

#include "vmm/text.hpp"

namespace vmm::x86_64 {
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

}  // namespace

bool has_word(std::string_view command_line, std::string_view word) {
    while (true) {
        const auto next = next_word(command_line);
        if (next.empty() || next == "--")
            return false;
        if (word.ends_with('=') ? next.starts_with(word) : next == word)
            return true;
    }
}

std::string complete_command_line(std::string_view given, std::string_view console) {
    if (console.empty() || has_word(given, "console="))
        return std::string{given};
    return cat("console=", console, given.empty() ? "" : " ", given);
}

}  // namespace vmm::x86_64
