// SPDX-License-Identifier: Apache-2.0
// What KVM is asked for on aarch64 alone, once the guest runs.
#include <linux/kvm.h>

#include <array>

#include "vmm/call_rule.hpp"

namespace vmm::calls {
namespace {

// KVM_ARM_VCPU_INIT, whose structure the machine that builds need not have: 32 bytes.
constexpr std::uint32_t kVcpuInit = 0x4020'aeae;

constexpr auto kRules = std::array{
    ioctl(KVM_GET_ONE_REG, kVcpu, "a vCPU that KVM cannot run says where it was"),
    ioctl(KVM_SET_ONE_REG, kMain, "a reset"),
    ioctl(kVcpuInit, kMain, "a reset"),
    ioctl(KVM_SET_DEVICE_ATTR, kMain, "a reset of the GIC"),
};

}  // namespace

std::span<const Rule> kvm_architecture_rules() {
    return kRules;
}

}  // namespace vmm::calls
