// SPDX-License-Identifier: Apache-2.0
// What the tests of configurations share.
#pragma once

#include <string>
#include <string_view>

#include "config/json_read.hpp"
#include "config/validate.hpp"
#include "config/vm_config.hpp"

namespace vmm::config::test {

/// The least that can be run.
inline VmConfig good() {
    VmConfig config;
    config.payload.kernel = "K";
    return config;
}

/// What validate() has against it.
inline std::string error_of(const VmConfig& config) {
    const auto result = validate(config);
    return result ? "no error" : result.error().report();
}

/// What the reader of JSON has against it.
inline std::string json_error(std::string_view text) {
    VmConfig config;
    const auto result = read_json(text, "vm.json", config);
    return result ? "no error" : result.error().report();
}

}  // namespace vmm::config::test
