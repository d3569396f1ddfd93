// SPDX-License-Identifier: Apache-2.0
// What the tests of the command line's arguments share.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "cli/arguments.hpp"

namespace vmm::cli {

inline Result<Arguments> parsed(std::initializer_list<const char*> args) {
    const std::vector<const char*> all{args};
    return parse_arguments(all);
}

inline std::string error_of(std::initializer_list<const char*> args) {
    const auto result = parsed(args);
    return result ? "no error" : result.error().report();
}

}  // namespace vmm::cli
