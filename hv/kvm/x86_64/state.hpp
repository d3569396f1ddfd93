// SPDX-License-Identifier: Apache-2.0
// The port's CPU state in KVM's words and back. Private to hv/kvm.
#pragma once

#include <linux/kvm.h>

#include <cstdint>

#include "vmm/hv_x86.hpp"

namespace vmm::kvm {

kvm_regs to_kvm(const hv::x86::Registers& registers);
hv::x86::Registers from_kvm(const kvm_regs& registers);

/// `apic_base` is IA32_APIC_BASE, which KVM keeps among the system registers.
kvm_sregs to_kvm(const hv::x86::SystemRegisters& registers, std::uint64_t apic_base);
hv::x86::SystemRegisters from_kvm(const kvm_sregs& registers);

}  // namespace vmm::kvm
