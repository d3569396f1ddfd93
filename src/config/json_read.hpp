// SPDX-License-Identifier: Apache-2.0
// A JSON file into a configuration.
#pragma once

#include <string_view>

#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

/// Keys that the text does not have stay as they are in `config`; null means "not given".
/// `file` is for errors, which begin with file:line:column.
Result<> read_json(std::string_view text, std::string_view file, VmConfig& config);

}  // namespace vmm::config
