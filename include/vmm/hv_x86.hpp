// SPDX-License-Identifier: Apache-2.0
// The x86 half of the hypervisor port: CPU state as values. arch/x86_64 makes them, hv/ applies
// them. Spec: Intel SDM volume 3A 2.5 (control registers), 3.4.5 (segment descriptors), 2A CPUID.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vmm/hv.hpp"

namespace vmm::hv::x86 {

/// Guest addresses that the hypervisor takes for itself (KVM on Intel: identity map, then three
/// pages of TSS for real mode). No RAM, no device; reserved in the guest's memory map.
inline constexpr GpaRange kHypervisorPages{Gpa{0xfffb'c000}, 0x4000};

/// General registers; all others are zero after set_registers().
struct Registers {
    std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, rsp = 0, rbp = 0;
    std::uint64_t rip = 0;
    std::uint64_t rflags = 2;  ///< bit 1 always reads one
};

/// A segment register with its hidden part.
struct Segment {
    std::uint64_t base = 0;
    std::uint32_t limit = 0;  ///< bytes - 1, granularity already applied
    std::uint16_t selector = 0;
    std::uint8_t type = 0;  ///< 4 bits, Intel SDM 3A table 3-1
    std::uint8_t dpl = 0;
    bool present = false, db = false, s = false, l = false, g = false;
};

struct DescriptorTable {
    std::uint64_t base = 0;
    std::uint16_t limit = 0;  ///< bytes - 1
};

struct SystemRegisters {
    Segment cs, ds, es, fs, gs, ss, tr, ldt;
    DescriptorTable gdt, idt;
    std::uint64_t cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
};

struct CpuidEntry {
    std::uint32_t leaf = 0;
    std::uint32_t subleaf = 0;
    bool has_subleaf = false;  ///< the answer depends on ECX
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    friend bool operator==(const CpuidEntry&, const CpuidEntry&) = default;
};

struct Msr {
    std::uint32_t index = 0;
    std::uint64_t value = 0;
};

class Vcpu : public hv::Vcpu {
public:
    virtual Result<> set_cpuid(std::span<const CpuidEntry> entries) = 0;
    virtual Result<> set_msrs(std::span<const Msr> msrs) = 0;
    virtual Result<> set_registers(const Registers& registers) = 0;
    /// After set_cpuid(). What is not in SystemRegisters (APIC base, pending interrupts) keeps its
    /// power-on value.
    virtual Result<> set_system_registers(const SystemRegisters& registers) = 0;

    virtual Result<Registers> registers() = 0;
    virtual Result<SystemRegisters> system_registers() = 0;

    /// All of it as after power-on: registers, FPU, MSRs the guest may have changed, local APIC,
    /// pending events; vCPU 0 runnable, the others waiting for INIT and SIPI. CPUID stays, and
    /// so does what the last exit was: an unfinished access is given up.
    virtual Result<> reset() = 0;
};

/// The highest APIC id that an xAPIC, an MSI or an I/O APIC can name with 8 bits; 255 is all.
inline constexpr std::uint32_t kHighestNarrowApicId = 254;

class Vm : public hv::Vm {
public:
    /// For vCPUs with APIC ids above kHighestNarrowApicId; `highest` is the highest one. Before
    /// create_interrupt_controller(). All vCPUs then start in x2APIC mode, messages may name 15
    /// bits of APIC id, and the I/O APIC is io_apic(), not the hypervisor's.
    virtual Result<> use_wide_apic_ids(std::uint32_t highest) = 0;

    /// What is to be put where the guest expects the I/O APIC; null when the hypervisor has it.
    virtual IoDevice* io_apic() noexcept = 0;

    /// `apic_id` is the vCPU's initial APIC id; vCPU 0 (apic_id 0) starts runnable, the others wait
    /// for INIT and SIPI. After create_interrupt_controller(). Any thread.
    virtual Result<std::unique_ptr<Vcpu>> create_vcpu(std::uint32_t apic_id) = 0;

    /// What this host can give a guest: KVM_GET_SUPPORTED_CPUID. One expensive call; keep it.
    virtual Result<std::vector<CpuidEntry>> supported_cpuid() = 0;

    /// The in-kernel local APIC has a TSC-deadline timer.
    virtual bool has_tsc_deadline() const noexcept = 0;

    /// PICs, I/O APIC and the paravirtual clock as after power-on. No vCPU runs.
    virtual Result<> reset() = 0;
};

/// Where virtual machines come from: handed to who builds one, so that a whole machine runs without
/// a hypervisor, on hv/fake.
class Hypervisor {
public:
    virtual ~Hypervisor() = default;

    /// An empty machine. What it made (vCPUs, lines, vectors) must be gone before it is.
    virtual Result<std::unique_ptr<Vm>> create_vm() = 0;
};

}  // namespace vmm::hv::x86
