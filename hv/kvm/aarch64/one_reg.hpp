// SPDX-License-Identifier: Apache-2.0
// Registers of a vCPU, by the ids of KVM. Private to hv/kvm.
// Spec: api.rst, 4.68 KVM_SET_ONE_REG, arm64 register mapping.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>

#include "kvm/ioctl.hpp"

namespace vmm::kvm {

/// Of struct kvm_regs, by the offset of a 64-bit field.
constexpr std::uint64_t core_register(std::size_t offset) {
    return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | offset / sizeof(std::uint32_t);
}

inline constexpr std::uint64_t kX0 = core_register(offsetof(kvm_regs, regs.regs[0]));
inline constexpr std::uint64_t kPc = core_register(offsetof(kvm_regs, regs.pc));
inline constexpr std::uint64_t kPstate = core_register(offsetof(kvm_regs, regs.pstate));
inline constexpr std::uint64_t kMpidr = ARM64_SYS_REG(3, 0, 0, 0, 5);           // MPIDR_EL1
inline constexpr std::uint64_t kMemoryFeatures = ARM64_SYS_REG(3, 0, 0, 7, 0);  // ID_AA64MMFR0_EL1

inline Result<std::uint64_t> get_register(const Handle& vcpu, std::uint64_t id) {
    std::uint64_t value = 0;
    kvm_one_reg reg{.id = id, .addr = reinterpret_cast<std::uintptr_t>(&value)};
    VMM_TRY(vcpu.call(VMM_REQUEST(KVM_GET_ONE_REG), &reg));
    return value;
}

inline Result<> set_register(const Handle& vcpu, std::uint64_t id, std::uint64_t value) {
    kvm_one_reg reg{.id = id, .addr = reinterpret_cast<std::uintptr_t>(&value)};
    VMM_TRY(vcpu.call(VMM_REQUEST(KVM_SET_ONE_REG), &reg));
    return {};
}

}  // namespace vmm::kvm
