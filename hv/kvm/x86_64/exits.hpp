// Why KVM_RUN came back, as a VmExit. Private to hv/kvm.
// Spec: api.rst, 5 The kvm_run structure.
#pragma once

#include <linux/kvm.h>

#include <optional>
#include <string>

#include "vmm/hv.hpp"

namespace vmm::kvm {

/// Nothing: KVM gave the vCPU up, or does what we did not ask for; see explain().
/// Spans point into the run page.
std::optional<hv::VmExit> decode(kvm_run& run) noexcept;

/// Where the vCPU stands, when that could be read.
struct Place {
    kvm_regs registers;
    kvm_sregs system;
};

/// Why KVM cannot go on, in a sentence for a person. `advice`: missing_hardware_virtualisation().
std::string explain(const kvm_run& run, const std::optional<Place>& place,
                    const std::string& advice);

}  // namespace vmm::kvm
