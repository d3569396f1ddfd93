// SPDX-License-Identifier: Apache-2.0
// The exits of KVM_RUN that every architecture has. Private to hv/kvm.
// Spec: api.rst, 5 The kvm_run structure.
#pragma once

#include <linux/kvm.h>

#include <algorithm>
#include <cstddef>
#include <span>

#include "vmm/hv.hpp"

namespace vmm::kvm {

/// Frequent, so inline. The span points into the run page.
inline hv::VmExit mmio_access(kvm_run& run) noexcept {
    auto& mmio = run.mmio;
    const auto data = std::as_writable_bytes(std::span{mmio.data})
                          .first(std::min<std::size_t>(mmio.len, sizeof mmio.data));
    if (mmio.is_write != 0)
        return hv::exit::MmioWrite{Gpa{mmio.phys_addr}, data};
    return hv::exit::MmioRead{Gpa{mmio.phys_addr}, data};
}

/// Failed without a text: one that we did not ask for.
inline hv::VmExit system_event(const kvm_run& run) noexcept {
    using Kind = hv::exit::SystemEvent::Kind;
    switch (run.system_event.type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN:
            return hv::exit::SystemEvent{Kind::PowerOff};
        case KVM_SYSTEM_EVENT_RESET:
            return hv::exit::SystemEvent{Kind::Reset};
        case KVM_SYSTEM_EVENT_CRASH:
            return hv::exit::SystemEvent{Kind::Crash};
        default:
            return hv::exit::Failed{};
    }
}

}  // namespace vmm::kvm
