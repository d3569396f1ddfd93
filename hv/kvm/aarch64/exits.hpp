// SPDX-License-Identifier: Apache-2.0
// Why KVM_RUN came back, as a VmExit. Private to hv/kvm.
// Spec: api.rst, 5 The kvm_run structure.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <optional>
#include <string>

#include "kvm/exits.hpp"
#include "vmm/hv.hpp"

namespace vmm::kvm {

/// All but memory accesses. Failed without a text: KVM gave the vCPU up, or does what we did not
/// ask for; see explain().
hv::VmExit decode_rare(const kvm_run& run) noexcept;

/// Spans point into the run page.
inline hv::VmExit decode(kvm_run& run) noexcept {
    if (run.exit_reason != KVM_EXIT_MMIO) [[unlikely]]
        return decode_rare(run);
    return mmio_access(run);
}

/// Why KVM cannot go on, in a sentence for a user. `pc` is where the vCPU stands, if that could be
/// read.
std::string explain(const kvm_run& run, std::optional<std::uint64_t> pc);

}  // namespace vmm::kvm
