// SPDX-License-Identifier: Apache-2.0
// Spec: Linux Documentation/virt/kvm/api.rst.
#include <linux/kvm.h>

#include "kvm/flex_array.hpp"
#include "vmm/call_rule.hpp"

namespace vmm::calls {
namespace {

constexpr Rule at_reset(std::uint32_t request) {
    return ioctl(request, kMain, "interrupt chips and vCPUs are reset");
}

constexpr Rule where_it_is(std::uint32_t request) {
    return ioctl(request, kVcpu, "a vCPU that KVM cannot run says where it was");
}

constexpr std::uint32_t of_list(unsigned long request) {
    return static_cast<std::uint32_t>(kvm::with_size(request, sizeof(kvm::ListHeader)));
}

constexpr auto kMsrList = static_cast<std::uint32_t>(
    kvm::with_size(KVM_GET_MSR_INDEX_LIST, sizeof(kvm::ShortListHeader)));
// The area may be larger (KVM_CAP_XSAVE2); the number of the request is the same.
constexpr auto kSetXsave =
    static_cast<std::uint32_t>(kvm::with_size(KVM_SET_XSAVE, kvm::kXsaveSize));

constexpr auto kRules = std::array{
    where_it_is(KVM_GET_REGS),
    where_it_is(KVM_GET_SREGS),
    at_reset(kMsrList),
    at_reset(kSetXsave),
    at_reset(KVM_SET_IRQCHIP),
    at_reset(KVM_SET_LAPIC),
    at_reset(KVM_SET_CLOCK),
    at_reset(KVM_SET_SREGS),
    at_reset(KVM_SET_REGS),
    at_reset(of_list(KVM_GET_MSRS)),
    at_reset(of_list(KVM_SET_MSRS)),
    at_reset(KVM_SET_XCRS),
    at_reset(KVM_SET_VCPU_EVENTS),
    at_reset(KVM_SET_DEBUGREGS),
    at_reset(KVM_SET_MP_STATE),
};

}  // namespace

std::span<const Rule> kvm_architecture_rules() {
    return kRules;
}

}  // namespace vmm::calls
