// SPDX-License-Identifier: Apache-2.0
// Single values as text: sizes, numbers, switches, choices, and back.
//
// Sizes are bytes; K, M, G, T (any case, with or without "iB") are powers of 1024.
// Numbers are decimal, or hexadecimal after 0x. Switches are on, off, true, false.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/schema.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

Result<std::uint64_t> parse_size(std::string_view text);
Result<std::uint64_t> parse_number(std::string_view text);
Result<bool> parse_switch(std::string_view text);
Result<std::uint64_t> parse_choice(std::string_view text,
                                   std::span<const std::string_view> choices);

/// The shortest form that parse_size() reads back: 512M, 1000.
std::string size_text(std::uint64_t bytes);

/// Number, size or length of a text against the limits of the key.
Result<> check_limits(const Key& key, const Value& value);

/// A scalar as the key's type; limits are checked.
Result<Value> parse_value(const Key& key, std::string_view text);

/// For the help and the reference page: "512M", "on", "tty"; empty if there is none.
std::string value_text(const Key& key, const Value& value);

/// "a size, such as 512M", for errors.
std::string expected_text(const Key& key);

}  // namespace vmm::config
