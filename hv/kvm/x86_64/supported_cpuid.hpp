// SPDX-License-Identifier: Apache-2.0
// What CPU features KVM can give a guest, found out while the machine is being made.
//
// KVM answers by some hundred CPUIDs of its own. Where this host is itself a guest, each of them
// goes to the hypervisor below, and all together take a third of the time from here to the guest's
// first instruction. So a thread asks while the others are at work; on a host with one processor it
// is asked when somebody wants to know. Spec: api.rst, 4.46 KVM_GET_SUPPORTED_CPUID. Threads: the
// one that made it.
#pragma once

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kvm/ioctl.hpp"
#include "vmm/hv_x86.hpp"

namespace vmm::kvm {

class SupportedCpuid {
public:
    using Entries = std::vector<hv::x86::CpuidEntry>;

    /// `kvm` outlives this and is not moved.
    SupportedCpuid(const Handle& kvm, bool in_background);
    SupportedCpuid(const SupportedCpuid&) = delete;
    SupportedCpuid& operator=(const SupportedCpuid&) = delete;

    /// Waits for the answer. A second time KVM is asked again.
    Result<Entries> get();

    /// missing_hardware_virtualisation(), asked for on the way: whoever needs it may open no file
    /// any more. After get().
    const std::string& missing_virtualisation() const noexcept { return missing_virtualisation_; }

private:
    const Handle& kvm_;
    std::optional<Result<Entries>> answer_;  // asker_'s until it has been joined, as the next one
    std::string missing_virtualisation_;
    std::jthread asker_;
};

}  // namespace vmm::kvm
