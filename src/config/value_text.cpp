// SPDX-License-Identifier: Apache-2.0
#include "config/value_text.hpp"

#include <charconv>
#include <utility>

#include "config/suggest.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

constexpr std::string_view kSizeLetters = "KMGT";

char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (upper(a[i]) != upper(b[i]))
            return false;
    return true;
}

/// Binary digits that the unit stands for, or -1: "", "B", "K", "KB", "KiB".
int unit_shift(std::string_view unit) {
    if (unit.empty() || same_ignoring_case(unit, "B"))
        return 0;
    const auto place = kSizeLetters.find(upper(unit.front()));
    unit.remove_prefix(1);
    const bool known =
        unit.empty() || same_ignoring_case(unit, "B") || same_ignoring_case(unit, "iB");
    return place == std::string_view::npos || !known ? -1 : static_cast<int>(10 * (place + 1));
}

Error bad_value(std::string what, std::string advice) {
    return Error{ErrorKind::Config, std::move(what)}.hint(std::move(advice));
}

constexpr std::string_view kSizeAdvice =
    "Give a whole number of bytes, or one followed by K, M, G or T, such as 512M.";

Error too_large(std::string_view text) {
    return bad_value(cat(in_quotes(text), " is too large for a number of 64 bits"),
                     "Give a smaller number.");
}

std::string amount(const Key& key, std::uint64_t value) {
    return key.type == Type::Size ? size_text(value) : cat(value);
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (status == std::errc::result_out_of_range)
        return std::unexpected(too_large(text));
    const auto digits = static_cast<std::size_t>(end - text.data());
    const int shift = unit_shift(text.substr(digits));
    if (digits == 0 || shift < 0)
        return std::unexpected(
            bad_value(cat(in_quotes(text), " is not a size"), std::string{kSizeAdvice}));
    if (number > UINT64_MAX >> shift)
        return std::unexpected(too_large(text));
    return number << shift;
}

Result<std::uint64_t> parse_number(std::string_view text) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    const auto digits = hex ? text.substr(2) : text;
    std::uint64_t number = 0;
    const auto [end, status] =
        std::from_chars(digits.data(), digits.data() + digits.size(), number, hex ? 16 : 10);
    if (status == std::errc::result_out_of_range)
        return std::unexpected(too_large(text));
    if (status != std::errc{} || end != digits.data() + digits.size())
        return std::unexpected(
            bad_value(cat(in_quotes(text), " is not a number"),
                      "Give a whole number, in decimal or with 0x in front in hexadecimal."));
    return number;
}

Result<bool> parse_switch(std::string_view text) {
    if (same_ignoring_case(text, "on") || same_ignoring_case(text, "true"))
        return true;
    if (same_ignoring_case(text, "off") || same_ignoring_case(text, "false"))
        return false;
    return std::unexpected(
        bad_value(cat(in_quotes(text), " is neither on nor off"), "Give on or off."));
}

Result<std::uint64_t> parse_choice(std::string_view text,
                                   std::span<const std::string_view> choices) {
    for (std::size_t i = 0; i < choices.size(); ++i)
        if (same_ignoring_case(text, choices[i]))
            return i;
    const auto near = nearest(text, choices);
    return std::unexpected(bad_value(
        cat(in_quotes(text), choices.size() == 1 ? " is not " : " is none of ", listed(choices)),
        near.empty() ? "Give one of these." : cat("Did you mean '", near, "'?")));
}

std::string size_text(std::uint64_t bytes) {
    std::string_view unit;
    for (std::size_t i = 0; i < kSizeLetters.size() && bytes != 0 && bytes % 1024 == 0; ++i) {
        bytes /= 1024;
        unit = kSizeLetters.substr(i, 1);
    }
    return cat(bytes, unit);
}

Result<> check_limits(const Key& key, const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
        if (text->find('\0') != std::string::npos)
            return std::unexpected(bad_value("a zero byte in the text", "Remove it."));
        if (text->size() > key.most)
            return std::unexpected(bad_value(cat(text->size(), " bytes are too long"),
                                             cat("At most ", key.most, " bytes are possible.")));
        return {};
    }
    const auto* number = std::get_if<std::uint64_t>(&value);
    if (number == nullptr || (*number >= key.least && *number <= key.most))
        return {};
    const bool low = *number < key.least;
    // Who comes from QEMU or kvmtool writes 512 and means MiB.
    const bool maybe_mib = low && key.type == Type::Size && *number != 0;
    return std::unexpected(bad_value(
        cat(amount(key, *number), low ? " is too small" : " is too large"),
        cat(low ? "The least is " : "The most is ", amount(key, low ? key.least : key.most),
            maybe_mib ? "; a number alone is in bytes, and 512 MiB are 512M." : ".")));
}

namespace {

Result<std::uint64_t> parse_choice_of(const Key& key, std::string_view text) {
    auto choice = parse_choice(text, key.choices);
    if (!choice && !key.advice.empty())
        return std::unexpected(std::move(choice).error().hint(std::string{key.advice}));
    return choice;
}

}  // namespace

Result<Value> parse_value(const Key& key, std::string_view text) {
    Value value;
    switch (key.type) {
        case Type::Bool:
            value = VMM_TRY(parse_switch(text));
            break;
        case Type::Size:
            value = VMM_TRY(parse_size(text));
            break;
        case Type::Number:
        case Type::NumberList:
            value = VMM_TRY(parse_number(text));
            break;
        case Type::Choice:
            value = VMM_TRY(parse_choice_of(key, text));
            break;
        default:
            value = std::string{text};
            break;
    }
    VMM_TRY(check_limits(key, value));
    return value;
}

std::string value_text(const Key& key, const Value& value) {
    if (const auto* on = std::get_if<bool>(&value))
        return *on ? "on" : "off";
    if (const auto* text = std::get_if<std::string>(&value))
        return *text;
    const auto* number = std::get_if<std::uint64_t>(&value);
    if (number == nullptr)
        return {};
    return key.type == Type::Choice ? std::string{key.choices[*number]} : amount(key, *number);
}

std::string expected_text(const Key& key) {
    switch (key.type) {
        case Type::Bool:
            return "true or false";
        case Type::Number:
            return "a whole number";
        case Type::Size:
            return "a size: a number of bytes, or a text such as \"512M\"";
        case Type::Text:
            return "a text";
        case Type::Choice:
            return cat("one of ", listed(key.choices));
        case Type::TextList:
            return "a text or a list of texts";
        case Type::NumberList:
            return "a list of whole numbers";
        case Type::ObjectList:
            return cat("a list of objects (", key.object->name, ")");
        default:
            return cat("an object (", key.object->name, ")");
    }
}

}  // namespace vmm::config
