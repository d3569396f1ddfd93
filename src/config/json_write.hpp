// SPDX-License-Identifier: Apache-2.0
// A configuration as JSON, and the JSON Schema of all configurations.
#pragma once

#include <string>

#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

/// Every value that has one, indented, keys in the tables' order, sizes as numbers, a newline at
/// the end. read_json() of it gives an equal configuration. Fails for text that is not UTF-8.
Result<std::string> to_json(const VmConfig& config);

/// Draft 2020-12; the same form.
std::string json_schema();

}  // namespace vmm::config
