// SPDX-License-Identifier: Apache-2.0
// What an x86 machine looks like after power-on, in KVM's structures. Private to hv/kvm.
//
// Written out instead of read back from KVM when a vCPU is created: that would cost every start
// some twenty calls that only a reset needs. tests/kvm compares them with a fresh vCPU.
// Spec: Intel SDM 3A table 10-1 (state after power-up), 11.4.7 (local APIC), 11.12 (x2APIC),
// 82093AA 3.2 (I/O APIC). Left out: the time stamp counter does not start from zero again (KVM
// keeps it in step on all vCPUs), machine check banks and performance counters keep their contents.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <span>

#include "vmm/hv_x86.hpp"

namespace vmm::kvm::power_on {

/// Where an APIC id does not fit into 8 bits, firmware would have left all of them in x2APIC mode:
/// Linux counts only the CPUs that it can name in the mode that it finds.
enum class ApicMode : std::uint8_t { Xapic, X2apic };

/// A vCPU's local APIC.
struct LocalApic {
    std::uint32_t id = 0;
    ApicMode mode = ApicMode::Xapic;
};

std::uint64_t apic_base(LocalApic apic);
hv::x86::SystemRegisters system_registers();
kvm_regs registers();
kvm_lapic_state local_apic(LocalApic apic);
kvm_debugregs debug_registers();
/// The part of a kvm_xsave that is not zero: x87 and SSE control words.
void set_fpu_controls(std::span<std::uint32_t> xsave);

/// Those a guest can change. Not every host has all of them.
std::span<const hv::x86::Msr> msrs();

/// IA32_MISC_ENABLE, some bits of which only the host decides.
inline constexpr std::uint32_t kMiscEnable = 0x1a0;
std::uint64_t misc_enable(std::uint64_t now);

kvm_irqchip pic(std::uint32_t chip);
kvm_irqchip io_apic();

}  // namespace vmm::kvm::power_on
