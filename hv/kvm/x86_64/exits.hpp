// SPDX-License-Identifier: Apache-2.0
// Why KVM_RUN came back, as a VmExit. Private to hv/kvm.
// Spec: api.rst, 5 The kvm_run structure.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <optional>
#include <string>

#include "kvm/exits.hpp"
#include "vmm/hv.hpp"

namespace vmm::kvm {

/// Frequent, so inline.
inline hv::VmExit port_access(kvm_run& run) noexcept {
    const auto& io = run.io;
    auto* data = reinterpret_cast<std::byte*>(&run) + io.data_offset;
    const std::size_t length = std::size_t{io.size} * io.count;
    const auto size = AccessSize{io.size};
    if (io.direction == KVM_EXIT_IO_OUT)
        return hv::exit::PortOut{io.port, size, {data, length}};
    return hv::exit::PortIn{io.port, size, {data, length}};
}

/// All others. Failed without a text: KVM gave the vCPU up, or does what we did not ask for; see
/// explain().
hv::VmExit decode_rare(const kvm_run& run) noexcept;

/// Spans point into the run page.
inline hv::VmExit decode(kvm_run& run) noexcept {
    if (run.exit_reason == KVM_EXIT_IO) [[likely]]
        return port_access(run);
    if (run.exit_reason == KVM_EXIT_MMIO) [[likely]]
        return mmio_access(run);
    return decode_rare(run);
}

/// Where the vCPU stands, when that could be read.
struct Place {
    kvm_regs registers;
    kvm_sregs system;
};

/// Why KVM cannot go on, in a sentence for a user. `advice`: missing_hardware_virtualisation().
std::string explain(const kvm_run& run, const std::optional<Place>& place,
                    const std::string& advice);

}  // namespace vmm::kvm
