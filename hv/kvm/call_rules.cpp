// SPDX-License-Identifier: Apache-2.0
// Spec: Linux Documentation/virt/kvm/api.rst.
#include <linux/kvm.h>

#include "kvm/flex_array.hpp"
#include "vmm/call_rule.hpp"

namespace vmm::calls {
namespace {

constexpr auto kSetRouting =
    static_cast<std::uint32_t>(kvm::with_size(KVM_SET_GSI_ROUTING, sizeof(kvm::ListHeader)));

constexpr auto kRules = std::array{
    Rule{.call = "ioctl",
         .threads = kMain | kVcpu,
         .why = "what a vCPU's thread is for; at a reset, to complete an access",
         .conditions = {is(1, KVM_RUN)},
         .each_exit = true},
    ioctl(KVM_CHECK_EXTENSION, kMain,
          "how many routes for a new device; at a reset, how large is XSAVE?"),
    ioctl(KVM_IRQ_LINE, kVcpu | kIo | kHelper, "interrupt pins"),
    ioctl(KVM_SIGNAL_MSI, kVcpu | kIo | kHelper, "an interrupt that has no route"),
    ioctl(kSetRouting, kMain | kVcpu, "a vector or a pin was set up; a reset"),
    ioctl(KVM_IRQFD, kVcpu | kHelper, "the eventfd of a vector"),
    ioctl(KVM_IOEVENTFD, kVcpu | kHelper, "where a driver kicks: a BAR moved"),
    ioctl(KVM_SET_USER_MEMORY_REGION, kMain | kVcpu, "memory behind a BAR: it moved or goes"),
};

}  // namespace

std::span<const Rule> kvm_rules() {
    return kRules;
}

}  // namespace vmm::calls
