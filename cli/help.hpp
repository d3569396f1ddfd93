// SPDX-License-Identifier: Apache-2.0
// The pages of --help.
#pragma once

#include <string>

#include "cli/arguments.hpp"

namespace vmm::cli {

std::string help_page(Command::Id command);
std::string version_line();  ///< "vmm 0.1.0"

}  // namespace vmm::cli
