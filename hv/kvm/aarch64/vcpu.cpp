// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/vcpu.hpp"

#include <asm/ptrace.h>

#include <optional>

#include "kvm/aarch64/exits.hpp"
#include "kvm/aarch64/kvm_device.hpp"
#include "kvm/aarch64/one_reg.hpp"

namespace vmm::kvm {

// KVM resets a vCPU that is initialised once more. SVE's vector lengths are settled once for all.
Result<> Vcpu::reset() {
    auto target = target_;
    VMM_TRY_OR(vcpu().call(VMM_REQUEST(KVM_ARM_VCPU_INIT), &target), "cannot initialise a vCPU");
    if (has(target_, KVM_ARM_VCPU_SVE) && !std::exchange(finalized_, true)) {
        int feature = KVM_ARM_VCPU_SVE;
        VMM_TRY_OR(vcpu().call(VMM_REQUEST(KVM_ARM_VCPU_FINALIZE), &feature),
                   "cannot give a vCPU the host's vector lengths");
    }
    return {};
}

Result<hv::VmExit> Vcpu::run() {
    if (!runner_.is_prepared()) [[unlikely]]
        VMM_TRY(runner_.prepare());
    const int why = runner_.run();
    if (why == EINTR)
        return hv::exit::Interrupted{};
    if (why != 0)
        return std::unexpected(Runner::cannot_run(why));
    auto exit = decode(runner_.page());
    if (auto* const failed = std::get_if<hv::exit::Failed>(&exit)) [[unlikely]] {
        failure_ = why_it_failed();
        failed->what = failure_;
    }
    return exit;
}

std::string Vcpu::why_it_failed() const {
    const auto pc = get_register(vcpu(), kPc);
    return explain(runner_.page(), pc ? std::optional{*pc} : std::nullopt);
}

// KVM does not run a vCPU whose performance monitors it was not told an interrupt for.
Result<> Vcpu::prepare() {
    if (!has(target_, KVM_ARM_VCPU_PMU_V3))
        return {};
    const int interrupt = hv::arm::kFirstPpi + hv::arm::kPmuPpi;
    constexpr std::uint32_t kPmu = KVM_ARM_VCPU_PMU_V3_CTRL;
    VMM_TRY_OR(set_attribute(vcpu(), kPmu, KVM_ARM_VCPU_PMU_V3_IRQ, &interrupt),
               "cannot give a vCPU performance monitors");
    VMM_TRY_OR(set_attribute(vcpu(), kPmu, KVM_ARM_VCPU_PMU_V3_INIT),
               "cannot give a vCPU performance monitors");
    return {};
}

Result<std::uint64_t> Vcpu::mpidr() {
    return get_register(vcpu(), kMpidr);
}

Result<hv::arm::Granules> Vcpu::granules() {
    constexpr unsigned kTGran16 = 20, kTGran64 = 24, kTGran4 = 28;
    const std::uint64_t features = VMM_TRY(get_register(vcpu(), kMemoryFeatures));
    const auto field = [features](unsigned at) { return features >> at & 0xf; };
    constexpr std::uint64_t kNone = 0xf;  // of the two that were there first; 0 of the third
    return hv::arm::Granules{.kib4 = field(kTGran4) != kNone,
                             .kib16 = field(kTGran16) != 0,
                             .kib64 = field(kTGran64) != kNone};
}

Result<> Vcpu::set_entry(const hv::arm::Entry& entry) {
    constexpr std::uint64_t kMasked = PSR_MODE_EL1h | PSR_D_BIT | PSR_A_BIT | PSR_I_BIT | PSR_F_BIT;
    VMM_TRY(set_register(vcpu(), kPstate, kMasked));
    VMM_TRY(set_register(vcpu(), kX0, entry.x0));
    return set_register(vcpu(), kPc, entry.pc.value());
}

}  // namespace vmm::kvm
