// SPDX-License-Identifier: Apache-2.0
// Puts a GIC's registers back to what they are after power-on: KVM resets vCPUs and ITS when it is
// asked to, and the rest never. Private to hv/kvm.
//
// Spec: IHI 0069 (GICv3), 12.9, 12.11, 12.2; IHI 0048 (GICv2), 4.3, 4.4; the attributes of
// arm-vgic-v3.rst and arm-vgic.rst. Threads: main; no vCPU runs.
#pragma once

#include <cstdint>
#include <span>

#include "kvm/ioctl.hpp"

namespace vmm::kvm {

/// `interrupts` counts all INTIDs of the distributor, private ones among them.
Result<> reset_gic_v3(const Handle& gic, std::span<const std::uint64_t> mpidrs,
                      std::uint32_t interrupts);
Result<> reset_gic_v2(const Handle& gic, std::size_t vcpus, std::uint32_t interrupts);

}  // namespace vmm::kvm
