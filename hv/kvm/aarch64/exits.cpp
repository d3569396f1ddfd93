// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/exits.hpp"

#include "vmm/text.hpp"

namespace vmm::kvm {
hv::VmExit decode_rare(const kvm_run& run) noexcept {
    return run.exit_reason == KVM_EXIT_SYSTEM_EVENT ? system_event(run)
                                                    : hv::VmExit{hv::exit::Failed{}};
}

std::string explain(const kvm_run& run, std::optional<std::uint64_t> pc) {
    const auto at = pc ? cat(" at ", Hex{*pc}) : std::string{};
    switch (run.exit_reason) {
        case KVM_EXIT_ARM_NISV:
            return cat("the guest touched ", Hex{run.arm_nisv.fault_ipa},
                       ", which is no memory, with an instruction that KVM does not decode", at);
        case KVM_EXIT_INTERNAL_ERROR:
            return cat("KVM reports internal error ", run.internal.suberror, at);
        case KVM_EXIT_FAIL_ENTRY:
            return cat("the CPU refused to enter the guest (hardware reason ",
                       Hex{run.fail_entry.hardware_entry_failure_reason}, ")", at);
        default:
            return cat("KVM stopped the vCPU for a reason that was not asked for (exit reason ",
                       run.exit_reason, ")", at);
    }
}

}  // namespace vmm::kvm
