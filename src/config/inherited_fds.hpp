// SPDX-License-Identifier: Apache-2.0
// Whether the descriptors that a configuration names are there, and are not ours.
#pragma once

#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

/// A descriptor is passed on by whoever started us, so it was open at exec. To be asked before any
/// file is opened that stays open: afterwards a number may be one of our own.
Result<> check_inherited_fds(const VmConfig& config);

}  // namespace vmm::config
