// SPDX-License-Identifier: Apache-2.0
// Building messages. Addresses are always hexadecimal.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "vmm/gpa.hpp"

namespace vmm {

/// A number that prints as 0x....
struct Hex {
    std::uint64_t value = 0;
};

/// One part of a message; lives for the length of the full expression only.
class TextPart {
public:
    TextPart(std::string_view text) : text_{text} {}    // NOLINT(google-explicit-constructor)
    TextPart(const char* text) : text_{text} {}         // NOLINT(google-explicit-constructor)
    TextPart(const std::string& text) : text_{text} {}  // NOLINT(google-explicit-constructor)
    TextPart(char character) {                          // NOLINT(google-explicit-constructor)
        digits_[0] = character;
        text_ = {digits_.data(), 1};
    }
    TextPart(std::integral auto number) {  // NOLINT(google-explicit-constructor)
        print(number, 10, digits_.data());
    }
    TextPart(Hex number) { print_hex(number.value, ""); }  // NOLINT(google-explicit-constructor)
    TextPart(Gpa at) { print_hex(at.value(), "gpa "); }    // NOLINT(google-explicit-constructor)
    TextPart(const TextPart&) = delete;
    TextPart& operator=(const TextPart&) = delete;

    std::string_view view() const { return text_; }

private:
    template <class N>
    void print(N number, int base, char* from) {
        const auto end = std::to_chars(from, digits_.data() + digits_.size(), number, base).ptr;
        text_ = {digits_.data(), static_cast<std::size_t>(end - digits_.data())};
    }
    void print_hex(std::uint64_t value, std::string_view prefix) {
        char* to = digits_.data() + prefix.copy(digits_.data(), prefix.size());
        *to++ = '0';
        *to++ = 'x';
        print(value, 16, to);
    }

    std::array<char, 32> digits_{};
    std::string_view text_;
};

std::string join(std::initializer_list<std::string_view> parts);

/// cat("map ", Hex{size}, " bytes at ", at): the parts in a row.
template <class... Parts>
std::string cat(const Parts&... parts) {
    return join({TextPart{parts}.view()...});
}

}  // namespace vmm
