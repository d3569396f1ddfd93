// SPDX-License-Identifier: Apache-2.0
// A JSON text as a tree that remembers where each value stands, so that errors can point.
//
// Strict RFC 8259. Not bounded by the parser's stack: depth and size are limited here.
// A key that stands twice in an object is an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/error.hpp"

namespace vmm::config {

inline constexpr std::size_t kMaxJsonBytes = 1 << 20;

struct JsonNode {
    enum class Kind : std::uint8_t { Null, Bool, Number, Negative, Fraction, Text, List, Object };
    struct Member;

    Kind kind = Kind::Null;
    std::size_t at = 0;        ///< offset of its first byte
    bool truth = false;        ///< Bool
    std::uint64_t number = 0;  ///< Number
    std::string text;          ///< Text
    std::vector<JsonNode> items;
    std::vector<Member> members;  ///< in the order of the text
};

struct JsonNode::Member {
    std::string key;
    std::size_t at = 0;  ///< offset of the key's opening quote
    JsonNode value;
};

/// "file.json:3:28": line and column, both from 1, column in bytes.
std::string place_in(std::string_view file, std::string_view text, std::size_t at);

/// What a user would call it: "a text", "an object".
std::string_view kind_name(JsonNode::Kind kind);

/// `file` is for errors only.
Result<JsonNode> parse_json(std::string_view text, std::string_view file);

}  // namespace vmm::config
