// SPDX-License-Identifier: Apache-2.0
// A message interrupt as MSI and MSI-X handle it: delivered while unmasked, pending while not.
//
// A vector that signals while masked keeps the signal in its eventfd: that is the pending bit, so
// a vector may be signalled by the kernel or another process too.
// Threads: with the function's lock held.
#pragma once

#include <memory>

#include "vmm/msi.hpp"

namespace vmm::pci {

class VectorSlot {
public:
    VectorSlot() = default;
    explicit VectorSlot(std::unique_ptr<MsiVector> vector) : vector_{std::move(vector)} {}

    MsiVector* vector() const noexcept { return vector_.get(); }

    /// Delivers `message` from now on, and what is pending at once; or holds signals back.
    void deliver(const MsiMessage& message) noexcept;
    void hold() noexcept;

    bool pending() const noexcept;  ///< a signal waits for deliver()
    bool take_pending() noexcept;   ///< and waits no more

private:
    std::unique_ptr<MsiVector> vector_;
    MsiMessage routed_;
    bool connected_ = false;
    bool reported_ = false;  // a failure to connect was logged
};

}  // namespace vmm::pci
