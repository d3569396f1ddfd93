// SPDX-License-Identifier: Apache-2.0
// `vmm config show|check|schema|reference`, and what `vmm run` has in common with `check`.
#pragma once

#include "cli/arguments.hpp"
#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::cli {

/// The configuration that the arguments make, checked as far as that goes without a machine.
Result<VmConfig> load_valid(const Arguments& arguments);

/// Says in the log which settings have no effect.
void warn_about(const VmConfig& config);

Result<> config_command(const Arguments& arguments);

}  // namespace vmm::cli
