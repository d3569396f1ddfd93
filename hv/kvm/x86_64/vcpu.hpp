// SPDX-License-Identifier: Apache-2.0
// A vCPU of KVM on x86. Private to hv/kvm.
// Spec: api.rst, sections 4 (vCPU ioctls) and 5. Threads and ownership: as hv::Vcpu; must be gone
// before its machine.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "kvm/runner.hpp"
#include "kvm/x86_64/io_apic.hpp"
#include "kvm/x86_64/power_on.hpp"
#include "vmm/hv_x86.hpp"

namespace vmm::kvm {

/// What all vCPUs need to know of the host: for their resets, found out at the first one, and for
/// saying why they fail. Threads: any.
class HostFacts {
public:
    HostFacts(const Handle& kvm, const Handle& vm, const std::string& missing)
        : kvm_{kvm}, vm_{vm}, missing_{missing} {}

    /// SupportedCpuid::missing_virtualisation()
    const std::string& missing_virtualisation() const noexcept { return missing_; }

    struct Facts {
        std::vector<hv::x86::Msr> msrs;  ///< those of power_on::msrs() that this KVM knows
        std::size_t xsave_words = 0;     ///< of 4 bytes, in KVM_SET_XSAVE
    };
    const Facts& get();

private:
    const Handle& kvm_;
    const Handle& vm_;
    const std::string& missing_;
    std::once_flag once_;
    Facts facts_;
};

class Vcpu final : public hv::x86::Vcpu {
public:
    /// `io_apic` hears of the ends of its interrupts; null when KVM has the I/O APIC.
    Vcpu(Handle vcpu, std::size_t page_size, power_on::LocalApic apic, HostFacts& facts,
         IoApic* io_apic)
        : runner_{std::move(vcpu), page_size}, apic_{apic}, facts_{facts}, io_apic_{io_apic} {}

    Result<hv::VmExit> run() override;
    Result<bool> complete_io() override { return runner_.complete_io(); }
    void kick() noexcept override { runner_.kick(); }

    Result<> set_cpuid(std::span<const hv::x86::CpuidEntry> entries) override;
    Result<> set_msrs(std::span<const hv::x86::Msr> msrs) override;
    Result<> set_registers(const hv::x86::Registers& registers) override;
    Result<> set_system_registers(const hv::x86::SystemRegisters& registers) override;
    Result<hv::x86::Registers> registers() override;
    Result<hv::x86::SystemRegisters> system_registers() override;
    Result<> reset() override;

private:
    std::string why_it_failed() const;
    Result<> abandon_io();
    Result<> enter_x2apic_mode();
    Result<> reset_msrs();
    Result<> reset_fpu();
    Result<> reset_events();

    const Handle& vcpu() const noexcept { return runner_.vcpu(); }

    Runner runner_;
    const power_on::LocalApic apic_;
    HostFacts& facts_;
    IoApic* const io_apic_;
    std::string failure_;  ///< what exit::Failed points to
};

}  // namespace vmm::kvm
