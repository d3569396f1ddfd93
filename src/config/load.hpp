// SPDX-License-Identifier: Apache-2.0
// From what was typed to a configuration: defaults, then the file, then the flags.
#pragma once

#include <span>
#include <string>

#include "config/flags.hpp"
#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

/// `file` is the JSON file's name, "-" standard input; empty: none. Does not validate().
Result<VmConfig> load(const std::string& file, std::span<const FlagUse> flags);

}  // namespace vmm::config
