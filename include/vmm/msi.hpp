// SPDX-License-Identifier: Apache-2.0
// Message signalled interrupts, as a device's transport sees them.
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/error.hpp"

namespace vmm {

/// The memory write that an MSI is: what the guest wrote into an MSI or MSI-X table entry, and who
/// sends it, by which an interrupt translation service (GICv3 ITS) or an IOMMU knows it apart.
/// Spec: PCI Express 6.0, 6.1.4, 2.2.4.2 (requester ID).
struct MsiMessage {
    std::uint64_t address = 0;
    std::uint32_t data = 0;
    std::uint16_t requester = 0;  ///< bus, device and function; 0 of what is no PCI function
    friend bool operator==(const MsiMessage&, const MsiMessage&) = default;
};

/// One vector: an irqfd of the hypervisor whose route is the guest's message.
class MsiVector {
public:
    virtual ~MsiVector() = default;

    /// Sets the route and connects the irqfd, in this order: KVM must never see an irqfd without a
    /// route. Costs nothing when it is unmasked with this message already. A message that is not an
    /// interrupt (the guest's mistake) goes nowhere. Any thread; may take a lock inside the
    /// hypervisor, so only on (un)mask, never per interrupt.
    virtual Result<> unmask(MsiMessage message) = 0;

    /// Disconnects the irqfd, and only then may the route go (it stays for the next unmask() with
    /// the same message). A signal that arrives while masked stays in the eventfd: the owner reads
    /// it there as the pending bit, and it is delivered when unmasked.
    virtual void mask() noexcept = 0;

    /// Raises the interrupt: a leaf call. Any thread.
    virtual void signal() noexcept = 0;

    /// The eventfd behind it, for another process or the kernel (vhost, vhost-user, VFIO).
    virtual int fd() const noexcept = 0;
};

/// Where transports get their vectors. Any thread.
class MsiSink {
public:
    virtual ~MsiSink() = default;
    virtual Result<std::unique_ptr<MsiVector>> allocate() = 0;
};

}  // namespace vmm
