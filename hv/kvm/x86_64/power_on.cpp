// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/power_on.hpp"

#include <array>
#include <cstddef>
#include <cstring>

namespace vmm::kvm::power_on {
namespace {

constexpr std::uint8_t kDataReadWriteAccessed = 3;
constexpr std::uint8_t kCodeReadAccessed = 11;
constexpr std::uint8_t kLdt = 2;
constexpr std::uint8_t kBusyTss32 = 11;

constexpr hv::x86::Segment segment(std::uint8_t type, bool code_or_data = true) {
    hv::x86::Segment to;
    to.limit = 0xffff;
    to.type = type;
    to.present = true;
    to.s = code_or_data;
    return to;
}

// Order matters at two places: VMX must be off before anything else (it leaves a nested guest),
// and the time stamp counter comes after its adjustment.
constexpr hv::x86::Msr kMsrs[] = {
    {0x0000'003a, 0},  // IA32_FEATURE_CONTROL
    {0x0000'003b, 0},  // IA32_TSC_ADJUST
    {0x0000'0010, 0},  // IA32_TIME_STAMP_COUNTER: to KVM, zero means "in step with the others"
    {0x0000'0048, 0},  // IA32_SPEC_CTRL
    {0x0000'00e1, 0},  // IA32_UMWAIT_CONTROL
    {0x0000'0140, 0},  // MISC_FEATURES_ENABLES
    {0x0000'0174, 0},  // IA32_SYSENTER_CS
    {0x0000'0175, 0},  // IA32_SYSENTER_ESP
    {0x0000'0176, 0},  // IA32_SYSENTER_EIP
    {0x0000'017a, 0},  // IA32_MCG_STATUS
    {0x0000'0186, 0},  // IA32_PERFEVTSEL0
    {0x0000'0187, 0},  //               1
    {0x0000'0188, 0},  //               2
    {0x0000'0189, 0},  //               3
    {0x0000'018a, 0},  //               4
    {0x0000'018b, 0},  //               5
    {0x0000'018c, 0},  //               6
    {0x0000'018d, 0},  //               7
    {0x0000'01c4, 0},  // IA32_XFD
    {0x0000'01c5, 0},  // IA32_XFD_ERR
    {0x0000'01d9, 0},  // IA32_DEBUGCTL
    {0x0000'0200, 0},  // IA32_MTRR_PHYSBASE0, PHYSMASK0
    {0x0000'0201, 0},
    {0x0000'0202, 0},  //                    1
    {0x0000'0203, 0},
    {0x0000'0204, 0},  //                    2
    {0x0000'0205, 0},
    {0x0000'0206, 0},  //                    3
    {0x0000'0207, 0},
    {0x0000'0208, 0},  //                    4
    {0x0000'0209, 0},
    {0x0000'020a, 0},  //                    5
    {0x0000'020b, 0},
    {0x0000'020c, 0},  //                    6
    {0x0000'020d, 0},
    {0x0000'020e, 0},  //                    7
    {0x0000'020f, 0},
    {0x0000'0250, 0},  // IA32_MTRR_FIX64K_00000
    {0x0000'0258, 0},  // IA32_MTRR_FIX16K_80000
    {0x0000'0259, 0},  // IA32_MTRR_FIX16K_A0000
    {0x0000'0268, 0},  // IA32_MTRR_FIX4K_C0000
    {0x0000'0269, 0},
    {0x0000'026a, 0},
    {0x0000'026b, 0},
    {0x0000'026c, 0},
    {0x0000'026d, 0},
    {0x0000'026e, 0},
    {0x0000'026f, 0},                      // IA32_MTRR_FIX4K_F8000
    {0x0000'0277, 0x0007'0406'0007'0406},  // IA32_PAT
    {0x0000'02ff, 0},                      // IA32_MTRR_DEF_TYPE
    {0x0000'038d, 0},                      // IA32_FIXED_CTR_CTRL
    {0x0000'03f1, 0},                      // IA32_PEBS_ENABLE
    {0x0000'06a0, 0},                      // IA32_U_CET
    {0x0000'06a2, 0},                      // IA32_S_CET
    {0x0000'06a4, 0},                      // IA32_PL0_SSP
    {0x0000'06a5, 0},
    {0x0000'06a6, 0},
    {0x0000'06a7, 0},  // IA32_PL3_SSP
    {0x0000'06a8, 0},  // IA32_INTERRUPT_SSP_TABLE_ADDR
    {0x0000'06e0, 0},  // IA32_TSC_DEADLINE
    {0x0000'0d90, 0},  // IA32_BNDCFGS
    {0x0000'0da0, 0},  // IA32_XSS
    {0x0000'0011, 0},  // MSR_KVM_WALL_CLOCK
    {0x0000'0012, 0},  // MSR_KVM_SYSTEM_TIME
    {0x4b56'4d00, 0},  // MSR_KVM_WALL_CLOCK_NEW
    {0x4b56'4d01, 0},  // MSR_KVM_SYSTEM_TIME_NEW
    {0x4b56'4d02, 0},  // MSR_KVM_ASYNC_PF_EN
    {0x4b56'4d03, 0},  // MSR_KVM_STEAL_TIME
    {0x4b56'4d04, 0},  // MSR_KVM_PV_EOI_EN
    {0x4b56'4d05, 1},  // MSR_KVM_POLL_CONTROL: the host polls on HLT
    {0x4b56'4d06, 0},  // MSR_KVM_ASYNC_PF_INT
    {0x4000'0000, 0},  // HV_X64_MSR_GUEST_OS_ID
    {0x4000'0001, 0},  // HV_X64_MSR_HYPERCALL
    {0x4000'0021, 0},  // HV_X64_MSR_REFERENCE_TSC
    {0x4000'0073, 0},  // HV_X64_MSR_VP_ASSIST_PAGE
    {0xc000'0081, 0},  // STAR
    {0xc000'0082, 0},  // LSTAR
    {0xc000'0083, 0},  // CSTAR
    {0xc000'0084, 0},  // SFMASK
    {0xc000'0102, 0},  // KERNEL_GS_BASE
    {0xc000'0103, 0},  // TSC_AUX
    {0xc001'0114, 0},  // VM_CR
    {0xc001'0117, 0},  // VM_HSAVE_PA
    {0xc001'011f, 0},  // VIRT_SPEC_CTRL
};

void put(kvm_lapic_state& apic, std::size_t offset, std::uint32_t value) {
    std::memcpy(&apic.regs[offset], &value, sizeof value);
}

}  // namespace

std::uint64_t apic_base(LocalApic apic) {
    constexpr std::uint64_t kEnabled = 1U << 11;
    constexpr std::uint64_t kExtended = 1U << 10;
    constexpr std::uint64_t kBootstrapProcessor = 1U << 8;
    return 0xfee0'0000 | kEnabled | (apic.mode == ApicMode::X2apic ? kExtended : 0) |
           (apic.id == 0 ? kBootstrapProcessor : 0);
}

hv::x86::SystemRegisters system_registers() {
    const auto data = segment(kDataReadWriteAccessed);
    hv::x86::SystemRegisters to;
    to.cs = segment(kCodeReadAccessed);
    to.cs.selector = 0xf000;
    to.cs.base = 0xffff'0000;
    to.ds = to.es = to.fs = to.gs = to.ss = data;
    to.tr = segment(kBusyTss32, false);
    to.ldt = segment(kLdt, false);
    to.gdt.limit = to.idt.limit = 0xffff;
    to.cr0 = 0x6000'0010;  // CD, NW, ET
    return to;
}

kvm_regs registers() {
    kvm_regs to{};
    to.rip = 0xfff0;
    to.rflags = 2;
    to.rdx = 0x600;  // family, model, stepping: what KVM gives without CPUID
    return to;
}

kvm_lapic_state local_apic(LocalApic apic) {
    constexpr std::uint32_t kMasked = 1U << 16;
    constexpr std::uint32_t kExtInt = 7U << 8;
    kvm_lapic_state to{};
    if (apic.mode == ApicMode::X2apic) {
        put(to, 0x020, apic.id);                                                  // ID
        put(to, 0x0d0, apic.id >> 4 << 16 | std::uint32_t{1} << (apic.id & 15));  // logical id
    } else {
        put(to, 0x020, apic.id << 24);
    }
    put(to, 0x030, 0x0005'0014);  // version: KVM writes its own over it
    put(to, 0x0e0, 0xffff'ffff);  // destination format: flat
    put(to, 0x0f0, 0xff);         // spurious vector, software disabled
    for (std::size_t lvt = 0x320; lvt <= 0x370; lvt += 0x10)
        put(to, lvt, kMasked);
    // Firmware would have left LINT0 as the way in for the PICs, and KVM's own reset of the first
    // vCPU does (its quirk LINT0_REENABLED): a guest without I/O APIC counts on it.
    if (apic.id == 0)
        put(to, 0x350, kExtInt);
    return to;
}

kvm_debugregs debug_registers() {
    kvm_debugregs to{};
    to.dr6 = 0xffff'0ff0;
    to.dr7 = 0x400;
    return to;
}

void set_fpu_controls(std::span<std::uint32_t> xsave) {
    xsave[0] = 0x037f;  // FCW
    xsave[6] = 0x1f80;  // MXCSR
}

std::span<const hv::x86::Msr> msrs() {
    return kMsrs;
}

std::uint64_t misc_enable(std::uint64_t now) {
    // Performance monitoring, branch trace and PEBS: what KVM offers, read-only to the guest.
    constexpr std::uint64_t kFixed = 1U << 7 | 1U << 11 | 1U << 12;
    constexpr std::uint64_t kFastStrings = 1;
    return (now & kFixed) | kFastStrings;
}

kvm_irqchip pic(std::uint32_t chip) {
    kvm_irqchip to{};
    to.chip_id = chip;
    // Which pins may be level triggered is how the chipset is wired, and no register of the guest.
    to.chip.pic.elcr_mask = chip == KVM_IRQCHIP_PIC_MASTER ? 0xf8 : 0xde;
    return to;
}

kvm_irqchip io_apic() {
    kvm_irqchip to{};
    to.chip_id = KVM_IRQCHIP_IOAPIC;
    to.chip.ioapic.base_address = 0xfec0'0000;
    for (auto& pin : to.chip.ioapic.redirtbl)
        pin.fields.mask = 1;
    return to;
}

}  // namespace vmm::kvm::power_on
