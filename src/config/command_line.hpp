// SPDX-License-Identifier: Apache-2.0
// What we add to a kernel's command line.
#pragma once

#include <string>

#include "config/vm_config.hpp"

namespace vmm::config {

/// The kernel's command line with what `payload.auto_cmdline` adds. Running it on its own result
/// adds nothing.
std::string effective_cmdline(const VmConfig& config);

}  // namespace vmm::config
