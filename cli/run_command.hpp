// SPDX-License-Identifier: Apache-2.0
// `vmm run`: from the checked configuration to the exit code.
#pragma once

#include "config/vm_config.hpp"
#include "sandbox/options.hpp"
#include "vmm/error.hpp"

namespace vmm::cli {

/// An error of run_machine() with what else a user should know: whatever could not be opened, it
/// may be the process that has too much open.
Error explained(Error error);

/// The exit code of the process.
/// `pid_file` is empty or the file that holds the process id while the guest runs.
Result<int> run_machine(const VmConfig& config, const std::string& pid_file,
                        const sandbox::Options& sandbox);

}  // namespace vmm::cli
