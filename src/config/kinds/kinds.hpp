// SPDX-License-Identifier: Apache-2.0
// The kinds of device that a configuration may have: a file each.
#pragma once

#include <vector>

#include "config/schema.hpp"
#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

extern const Object kSerialTable;
extern const Object kConsoleTable;
extern const Object kConsolePortTable;
extern const Object kDiskTable;
extern const Object kNetTable;
extern const Object kRngTable;

Result<> check_console_ports(const std::vector<ConsolePortConfig>& ports);
Result<> check_disks(const VmConfig& config);
Result<> check_nets(const VmConfig& config);

}  // namespace vmm::config
