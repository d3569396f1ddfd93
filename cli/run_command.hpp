// `vmm run`: from the checked configuration to the exit code.
#pragma once

#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::cli {

/// The exit code of the process.
Result<int> run_machine(const VmConfig& config);

}  // namespace vmm::cli
