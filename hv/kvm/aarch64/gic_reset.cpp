// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/gic_reset.hpp"

#include <array>

#include "kvm/aarch64/kvm_device.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::kvm {
namespace {

// What a distributor has for all interrupts, a redistributor for the private ones, and where.
constexpr std::uint64_t kCtlr = 0x0000;
constexpr std::uint64_t kClearEnable = 0x0180;
constexpr std::uint64_t kSetPending = 0x0200;  // the value replaces the one before
constexpr std::uint64_t kClearPending = 0x0280;
constexpr std::uint64_t kClearActive = 0x0380;
constexpr std::uint64_t kPriority = 0x0400;
constexpr std::uint64_t kConfiguration = 0x0c00;
constexpr std::uint64_t kRouter = 0x6000;  // 64 bits each, written as two halves

// GICR_PROPBASER and GICR_PENDBASER, 64 bits each.
constexpr std::uint64_t kPropertyBase = 0x0070, kPendingBase = 0x0078;
constexpr std::uint64_t kPrivateFrame = 0x1'0000;

/// One frame of registers: an attribute group, and what its attributes have above the offset.
struct Frame {
    const Handle& gic;
    std::uint32_t group;
    std::uint64_t who = 0;

    Result<> write(std::uint64_t offset, std::uint32_t value) const {
        return set_attribute(gic, group, who | offset, &value);
    }
    /// The registers that have `bits` for each interrupt of [first, last).
    Result<> fill(std::uint64_t offset, std::uint32_t bits, std::uint32_t first, std::uint32_t last,
                  std::uint32_t value) const {
        for (std::uint64_t at = first * bits / 8; at < last * bits / 8; at += sizeof value)
            VMM_TRY(write(offset + at, value));
        return {};
    }
};

// Disabled, idle, of the highest priority and level triggered. `pending` replaces what pends.
Result<> calm(const Frame& frame, std::uint32_t first, std::uint32_t last) {
    constexpr std::uint32_t kAll = 0xffff'ffff;
    VMM_TRY(frame.fill(kClearEnable, 1, first, last, kAll));
    VMM_TRY(frame.fill(kClearActive, 1, first, last, kAll));
    return frame.fill(kPriority, 8, first, last, 0);
}

std::uint64_t affinity(std::uint64_t mpidr) {
    return (mpidr & 0xff'ffff) | (mpidr >> 8 & 0xff00'0000);
}

Result<> reset_distributor(const Frame& frame, std::uint32_t interrupts) {
    constexpr std::uint32_t kSpi = hv::arm::kFirstSpi;
    VMM_TRY(frame.write(kCtlr, 0));
    VMM_TRY(calm(frame, kSpi, interrupts));
    return frame.fill(kConfiguration, 2, kSpi, interrupts, 0);
}

Result<> reset_redistributor(const Frame& frame) {
    constexpr std::uint32_t kPpi = hv::arm::kFirstPpi, kSpi = hv::arm::kFirstSpi;
    VMM_TRY(frame.write(kCtlr, 0));
    for (const std::uint64_t base : {kPropertyBase, kPendingBase}) {
        VMM_TRY(frame.write(base, 0));
        VMM_TRY(frame.write(base + 4, 0));
    }
    const Frame own{frame.gic, frame.group, frame.who + kPrivateFrame};
    VMM_TRY(calm(own, 0, kSpi));
    VMM_TRY(own.write(kSetPending, 0));
    return own.fill(kConfiguration, 2, kPpi, kSpi, 0);
}

// Masked, both groups disabled, nothing active.
Result<> reset_cpu_interface(const Handle& gic, std::uint64_t who) {
    // By the operands of MRS: op0, op1, CRn, CRm, op2.
    constexpr std::array kRegisters{
        ARM64_SYS_REG(3, 0, 4, 6, 0),    // ICC_PMR_EL1
        ARM64_SYS_REG(3, 0, 12, 8, 3),   // ICC_BPR0_EL1
        ARM64_SYS_REG(3, 0, 12, 8, 4),   // ICC_AP0R0_EL1
        ARM64_SYS_REG(3, 0, 12, 9, 0),   // ICC_AP1R0_EL1
        ARM64_SYS_REG(3, 0, 12, 12, 3),  // ICC_BPR1_EL1
        ARM64_SYS_REG(3, 0, 12, 12, 6),  // ICC_IGRPEN0_EL1
        ARM64_SYS_REG(3, 0, 12, 12, 7),  // ICC_IGRPEN1_EL1
    };
    constexpr std::uint64_t kZero = 0;
    for (const std::uint64_t id : kRegisters)
        VMM_TRY(set_attribute(gic, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
                              who | (id & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK), &kZero));
    return {};
}

}  // namespace

Result<> reset_gic_v3(const Handle& gic, std::span<const std::uint64_t> mpidrs,
                      std::uint32_t interrupts) {
    const Frame distributor{gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS};
    VMM_TRY(reset_distributor(distributor, interrupts));
    VMM_TRY(distributor.fill(kSetPending, 1, hv::arm::kFirstSpi, interrupts, 0));
    VMM_TRY(distributor.fill(kRouter, 64, hv::arm::kFirstSpi, interrupts, 0));
    for (const std::uint64_t mpidr : mpidrs) {
        const std::uint64_t who = affinity(mpidr) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
        VMM_TRY(reset_redistributor({gic, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, who}));
        VMM_TRY(reset_cpu_interface(gic, who));
    }
    return {};
}

Result<> reset_gic_v2(const Handle& gic, std::size_t vcpus, std::uint32_t interrupts) {
    constexpr std::uint64_t kPriorityMask = 0x04;  // of a CPU interface
    for (std::size_t cpu = 0; cpu < vcpus; ++cpu) {
        const std::uint64_t who = cpu << KVM_DEV_ARM_VGIC_CPUID_SHIFT;
        const Frame distributor{gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, who};
        VMM_TRY(calm(distributor, 0, hv::arm::kFirstSpi));
        VMM_TRY(distributor.write(kClearPending, 0xffff'ffff));
        const Frame interface { gic, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, who };
        VMM_TRY(interface.write(kCtlr, 0));
        VMM_TRY(interface.write(kPriorityMask, 0));
    }
    const Frame distributor{gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS};
    VMM_TRY(distributor.fill(kClearPending, 1, hv::arm::kFirstSpi, interrupts, 0xffff'ffff));
    return reset_distributor(distributor, interrupts);
}

}  // namespace vmm::kvm
