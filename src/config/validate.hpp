// SPDX-License-Identifier: Apache-2.0
// Whether a configuration can be a machine: the rules that join keys, and what is missing.
#pragma once

#include <string>
#include <vector>

#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

/// The first thing that is wrong, as an Error of kind Config. Looks at no file and no device of
/// the host: what those allow is found out when the machine is built.
Result<> validate(const VmConfig& config);

/// The part of validate() for devices without a channel, and for names (validate_devices.cpp).
Result<> validate_devices(const VmConfig& config);

/// What of a valid configuration has no effect, as records for the log.
std::vector<std::string> warnings(const VmConfig& config);

}  // namespace vmm::config
