// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/exits.hpp"

#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

hv::VmExit system_event(const kvm_run& run) noexcept {
    using Kind = hv::exit::SystemEvent::Kind;
    switch (run.system_event.type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN:
            return hv::exit::SystemEvent{Kind::PowerOff};
        case KVM_SYSTEM_EVENT_RESET:
            return hv::exit::SystemEvent{Kind::Reset};
        case KVM_SYSTEM_EVENT_CRASH:
            return hv::exit::SystemEvent{Kind::Crash};
        default:
            return hv::exit::Failed{};
    }
}

}  // namespace

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
