// SPDX-License-Identifier: Apache-2.0
// Spec: Linux Documentation/virt/kvm/api.rst.
#include <linux/kvm.h>

#include "sandbox/rule.hpp"

namespace vmm::sandbox {
namespace {

constexpr Rule at_reset(std::uint32_t request) {
    return {.call = "ioctl",
            .threads = ThreadKind::Main,
            .why = "interrupt chips and vCPUs are reset",
            .conditions = {is(1, request)}};
}

constexpr Rule where_it_is(std::uint32_t request) {
    return {.call = "ioctl",
            .threads = Threads{ThreadKind::Vcpu} | ThreadKind::Main,
            .why = "a vCPU that KVM cannot run says where it was; a reset",
            .conditions = {is(1, request)}};
}

constexpr auto kRules = std::array{
    where_it_is(KVM_GET_REGS),
    where_it_is(KVM_GET_SREGS),
    at_reset(sized(KVM_GET_MSR_INDEX_LIST, 4)),
    at_reset(sized(KVM_SET_XSAVE, 4096)),
    at_reset(KVM_GET_IRQCHIP),
    at_reset(KVM_SET_IRQCHIP),
    at_reset(KVM_GET_LAPIC),
    at_reset(KVM_SET_LAPIC),
    at_reset(KVM_SET_CLOCK),
    at_reset(KVM_SET_SREGS),
    at_reset(KVM_SET_REGS),
    at_reset(sized(KVM_GET_MSRS, 8)),
    at_reset(sized(KVM_SET_MSRS, 8)),
    at_reset(KVM_GET_FPU),
    at_reset(KVM_SET_FPU),
    at_reset(KVM_SET_XCRS),
    at_reset(KVM_SET_VCPU_EVENTS),
    at_reset(KVM_GET_DEBUGREGS),
    at_reset(KVM_SET_DEBUGREGS),
    at_reset(KVM_SET_MP_STATE),
    at_reset(sized(KVM_SET_CPUID2, 8)),
};

}  // namespace

std::span<const Rule> architecture_rules() {
    return kRules;
}

}  // namespace vmm::sandbox
