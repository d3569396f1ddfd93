// SPDX-License-Identifier: Apache-2.0
// What threads need of KVM. Its ioctls have no descriptor here: that they reach the kernel counts.
//
// The numbers are written out: hv/kvm alone knows KVM's header.
// Spec: Linux include/uapi/linux/kvm.h; of a structure with a tail, the size of its head.
#pragma once

#include "sandbox/needs_everywhere_test_support.hpp"

namespace vmm::sandbox {

inline constexpr auto kNeedsOfKvm = std::array{
    unanswered_ioctl("KVM_RUN: a vCPU; Runner::complete_io() at a reset", kMain | kVcpu, 0xae80),
    unanswered_ioctl("KVM_CHECK_EXTENSION: HostFacts at the first reset, vectors of a new device",
                     kMain, 0xae03),
    unanswered_ioctl("KVM_IRQ_LINE: INTx, ports of the serial device, the power button",
                     kVcpu | kIo, 0x4008'ae61),
    unanswered_ioctl("KVM_IRQ_LINE: INTx of a disk that has another size now", kHelper,
                     0x4008'ae61),
    unanswered_ioctl("KVM_SIGNAL_MSI: the same by IoApic, beside split local APICs",
                     kVcpu | kIo | kHelper, 0x4020'aea5),
    unanswered_ioctl(
        "KVM_SET_GSI_ROUTING: a vector is unmasked, a pin of IoApic written; both are reset",
        kMain | kVcpu, 0x4008'ae6a),
    unanswered_ioctl("KVM_IRQFD: a vector is masked or unmasked; at a removal ~Vector()",
                     kVcpu | kHelper, 0x4020'ae76),
    unanswered_ioctl("KVM_IOEVENTFD: a BAR moves; at a removal ~Transport()", kVcpu | kHelper,
                     0x4040'ae79),
    unanswered_ioctl(
        "KVM_SET_USER_MEMORY_REGION: a BAR with memory moves; HostBridge::unplug(), reset",
        kMain | kVcpu, 0x4020'ae46),
#ifdef __x86_64__
    unanswered_ioctl("KVM_GET_REGS: Vcpu::why_it_failed()", kVcpu, 0x8090'ae81),
    unanswered_ioctl("KVM_GET_SREGS: Vcpu::why_it_failed()", kVcpu, 0x8138'ae83),
    unanswered_ioctl("KVM_GET_MSR_INDEX_LIST: HostFacts at the first reset", kMain, 0xc004'ae02),
    unanswered_ioctl("KVM_SET_XSAVE: Vcpu::reset_fpu()", kMain, 0x5000'aea5),
    unanswered_ioctl("KVM_SET_XCRS: Vcpu::reset_fpu()", kMain, 0x4188'aea7),
    unanswered_ioctl("KVM_SET_IRQCHIP: Vm::reset_chips()", kMain, 0x8208'ae63),
    unanswered_ioctl("KVM_SET_CLOCK: Vm::reset()", kMain, 0x4030'ae7b),
    unanswered_ioctl("KVM_SET_LAPIC: Vcpu::reset()", kMain, 0x4400'ae8f),
    unanswered_ioctl("KVM_SET_SREGS: Vcpu::reset()", kMain, 0x4138'ae84),
    unanswered_ioctl("KVM_SET_REGS: Vcpu::reset(), Vcpu::abandon_io()", kMain, 0x4090'ae82),
    unanswered_ioctl("KVM_SET_DEBUGREGS: Vcpu::reset()", kMain, 0x4080'aea2),
    unanswered_ioctl("KVM_GET_MSRS: Vcpu::reset_msrs()", kMain, 0xc008'ae88),
    unanswered_ioctl("KVM_SET_MSRS: Vcpu::reset_msrs()", kMain, 0x4008'ae89),
    unanswered_ioctl("KVM_SET_VCPU_EVENTS: Vcpu::reset_events()", kMain, 0x4040'aea0),
    unanswered_ioctl("KVM_SET_MP_STATE: Vcpu::reset_events()", kMain, 0x4004'ae99),
#endif
};

}  // namespace vmm::sandbox
