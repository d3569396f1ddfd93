// SPDX-License-Identifier: Apache-2.0
// MSI vectors: for each an eventfd, a GSI of its own, and the route from that GSI to the message
// that the guest wrote. Private to hv/kvm.
//
// Spec: api.rst, 4.52 KVM_SET_GSI_ROUTING (it replaces the whole table), 4.75 KVM_IRQFD.
// Threads: any. One lock around table and ioctls; never taken to raise an interrupt.
// Ownership: vectors must not outlive the IrqRoutes they came from.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "kvm/ioctl.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/msi.hpp"
#include "vmm/mutex.hpp"

namespace vmm::kvm {

/// How an architecture's interrupt controller wants its routes.
struct RouteFormat {
    std::vector<kvm_irq_routing_entry> pins;  ///< always in the table; their GSIs come first
    std::uint32_t first_msi_gsi = 0;
    bool with_requester = false;  ///< the interrupt controller looks at who sends a message
    /// Nothing for a message that would not reach an interrupt controller.
    std::function<std::optional<kvm_irq_routing_msi>(MsiMessage)> msi;
};

class IrqRoutes {
public:
    IrqRoutes(const Handle& vm, RouteFormat format) : vm_{vm}, format_{std::move(format)} {}

    Result<std::unique_ptr<MsiVector>> allocate();

    /// For an interrupt controller outside of KVM: no pin has a route but those that route_pin()
    /// gives one. Before the first route.
    void drop_pins() { format_.pins.clear(); }
    /// `gsi` is below first_msi_gsi; none takes the route away.
    void route_pin(std::uint32_t gsi, std::optional<MsiMessage> message) noexcept;

private:
    class Vector;
    struct Entry {
        bool taken = false;
        std::optional<MsiMessage> message;  ///< has a route to it, also while masked
    };

    std::size_t limit();
    std::uint32_t gsi_of(std::size_t entry) const {
        return format_.first_msi_gsi + static_cast<std::uint32_t>(entry);
    }
    Result<> route(std::size_t entry, MsiMessage message);
    Result<> send_table();
    int set_irqfd(std::size_t entry, int eventfd, std::uint32_t flags) noexcept;

    const Handle& vm_;
    RouteFormat format_;
    RankedMutex<LockRank::IrqRoutes> mutex_;
    std::map<std::uint32_t, MsiMessage> pin_messages_;  ///< by GSI: see route_pin()
    std::vector<Entry> entries_;                        ///< by GSI, from first_msi_gsi on
    std::size_t limit_ = 0;                             ///< MSI routes that fit; 0: not asked yet
};

}  // namespace vmm::kvm
