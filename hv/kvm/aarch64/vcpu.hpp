// SPDX-License-Identifier: Apache-2.0
// A vCPU of KVM on aarch64. Private to hv/kvm.
// Spec: api.rst, 4.82 KVM_ARM_VCPU_INIT. Threads and ownership: as hv::Vcpu; must be gone before
// its machine.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <string>
#include <utility>

#include "kvm/runner.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::kvm {

inline bool has(const kvm_vcpu_init& target, unsigned feature) {
    return (target.features[feature / 32] >> feature % 32 & 1) != 0;
}

class Vcpu final : public hv::arm::Vcpu {
public:
    /// `target` has the features that it shall have.
    Vcpu(Handle vcpu, std::size_t page_size, const kvm_vcpu_init& target)
        : runner_{std::move(vcpu), page_size}, target_{target} {}

    /// To be called once before anything else.
    Result<> reset() override;

    Result<hv::VmExit> run() override;
    Result<bool> complete_io() override { return runner_.complete_io(); }
    void kick() noexcept override { runner_.kick(); }
    Result<std::uint64_t> mpidr() override;
    Result<> set_entry(const hv::arm::Entry& entry) override;
    Result<> prepare() override;
    Result<hv::arm::Granules> granules() override;

private:
    const Handle& vcpu() const noexcept { return runner_.vcpu(); }
    std::string why_it_failed() const;

    Runner runner_;
    const kvm_vcpu_init target_;
    bool finalized_ = false;
    std::string failure_;  ///< what exit::Failed points to
};

}  // namespace vmm::kvm
