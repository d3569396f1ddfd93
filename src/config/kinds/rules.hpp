// SPDX-License-Identifier: Apache-2.0
// For rules about a configuration.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "vmm/error.hpp"
#include "vmm/text.hpp"

namespace vmm::config {

/// The place of the error is the rule's.
inline std::unexpected<Error> bad(std::string what, std::string advice,
                                  Error::Where where = Error::Where::current()) {
    return std::unexpected(
        Error{ErrorKind::Config, std::move(what), where}.hint(std::move(advice)));
}

inline Result<> check_queue_size(const std::string& path, std::uint32_t size) {
    if (!std::has_single_bit(size))
        return bad(cat(path, ".queue_size ", size, " is not a power of two"),
                   cat("Give ", std::bit_floor(size), "."));
    return {};
}

}  // namespace vmm::config
