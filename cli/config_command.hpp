// `vmm config show|check|schema|reference`.
#pragma once

#include "cli/arguments.hpp"
#include "vmm/error.hpp"

namespace vmm::cli {

Result<> config_command(const Arguments& arguments);

}  // namespace vmm::cli
