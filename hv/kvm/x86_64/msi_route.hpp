// SPDX-License-Identifier: Apache-2.0
// An x86 interrupt message as KVM wants it. Private to hv/kvm.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <optional>

#include "vmm/msi.hpp"

namespace vmm::kvm {

/// Intel SDM 3A 11.11.1: address bits 31:20 are 0xfee, 19:12 the destination. With wide ids, bits
/// 11:5 are bits 14:8 of the destination (KVM_FEATURE_MSI_EXT_DEST_ID), which KVM wants in the
/// upper half of the address. None: not an interrupt.
inline std::optional<kvm_irq_routing_msi> msi_route(MsiMessage message, bool wide) {
    if (message.address >> 20 != 0xfee)
        return std::nullopt;
    constexpr std::uint32_t kHighDestination = 0xfe0;
    kvm_irq_routing_msi route{};
    route.address_lo = static_cast<std::uint32_t>(message.address);
    if (wide) {
        route.address_hi = (route.address_lo & kHighDestination) << 3;
        route.address_lo &= ~kHighDestination;
    }
    route.data = message.data;
    return route;
}

}  // namespace vmm::kvm
