// SPDX-License-Identifier: Apache-2.0
// Which host CPUs the threads of vCPUs are pinned to (cpus.affinity).
//
// Linux leaves out of an affinity what does not exist or is not in the process's cpuset, and
// refuses it only if nothing is left. A vCPU that runs elsewhere than the user said is found by
// nobody, so that is an error here, before there is a machine. Threads: functions without state.
#pragma once

#include <span>
#include <vector>

#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::machine {

/// By vCPU, the host CPUs that it is pinned to; an empty list: to none. Costs a thread. Fails
/// with kind Config if the process may not use one of them. The configuration is valid.
Result<std::vector<std::vector<unsigned>>> host_cpus(const CpusConfig& cpus);

/// The check alone: of `present` host CPUs the process may use `usable`, in ascending order.
Result<> check_host_cpus(const CpusConfig& cpus, std::span<const unsigned> usable,
                         unsigned present);

}  // namespace vmm::machine
