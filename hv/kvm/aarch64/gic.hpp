// SPDX-License-Identifier: Apache-2.0
// The interrupt controller in KVM: a GICv3 with its ITS, or a GICv2 where the host has no more.
// Private to hv/kvm.
//
// Spec: Linux Documentation/virt/kvm/devices/arm-vgic-v3.rst, arm-vgic-its.rst and arm-vgic.rst.
// Threads: the machine's main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "kvm/ioctl.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::kvm {

class Gic {
public:
    /// Before the vCPUs.
    static Result<Gic> create(const Handle& vm, const hv::arm::GicLayout& layout);

    hv::arm::GicVersion version() const noexcept { return version_; }

    /// After the last vCPU: from now on there are interrupts.
    Result<> complete(const Handle& vm);
    /// As after power-on. `mpidrs` are those of the vCPUs, none of which runs.
    Result<> reset(std::span<const std::uint64_t> mpidrs) const;

private:
    Gic(Handle gic, hv::arm::GicVersion version, const hv::arm::GicLayout& layout)
        : gic_{std::move(gic)}, version_{version}, layout_{layout} {}

    Result<> place_v3();
    Result<> place_v2();

    Handle gic_;
    hv::arm::GicVersion version_;
    hv::arm::GicLayout layout_;
    std::optional<Handle> its_;  // of a GICv3, once complete
};

}  // namespace vmm::kvm
