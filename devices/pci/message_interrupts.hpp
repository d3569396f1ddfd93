// SPDX-License-Identifier: Apache-2.0
// Message interrupts as a device signals them, be they MSI or MSI-X.
//
// Spec: PCI Local Bus 3.0, 6.8. A function may have both, and a driver enables one of them, or
// neither and gets INTx. One that enables both breaks a rule (6.8.2) and gets MSI-X.
// Threads: enabled(), vector() and active() any; the rest with the function's lock held.
#pragma once

#include <cstdint>

#include "vmm/msi.hpp"

namespace vmm::pci {

class MessageInterrupts {
public:
    virtual ~MessageInterrupts() = default;

    /// It replaces INTx.
    virtual bool enabled() const noexcept = 0;
    /// What source `number` raises, or null if there is none of that number. Of MSI, valid until
    /// the guest grants another number of vectors: sources share what there is.
    virtual MsiVector* vector(std::uint64_t number) const noexcept = 0;
    /// Takes what source `number` signalled and was held back since: true if there was something.
    virtual bool take_pending(std::uint64_t number) noexcept = 0;
};

/// The kind that the driver has enabled; null: INTx. Either may be null, which is not there.
inline MessageInterrupts* active(MessageInterrupts* msix, MessageInterrupts* msi) noexcept {
    if (msix != nullptr && msix->enabled())
        return msix;
    return msi != nullptr && msi->enabled() ? msi : nullptr;
}

}  // namespace vmm::pci
