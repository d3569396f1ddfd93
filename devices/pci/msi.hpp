// SPDX-License-Identifier: Apache-2.0
// MSI: up to 32 vectors that share a message, in configuration space.
//
// Spec: PCI Local Bus 3.0, 6.8.1; with 64-bit addresses and per-vector masking.
// Threads: as MessageInterrupts.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "pci/function.hpp"
#include "pci/message_interrupts.hpp"
#include "pci/vector_slot.hpp"
#include "vmm/error.hpp"
#include "vmm/msi.hpp"
#include "vmm/stateful.hpp"

namespace vmm::pci {

class Msi final : public MessageInterrupts, CapabilityRegisters {
public:
    static constexpr unsigned kMaxVectors = 32;

    /// Adds the capability to `function`; `vectors` is a power of two up to kMaxVectors.
    static Result<std::unique_ptr<Msi>> create(Function& function, MsiSink& sink, unsigned vectors);

    /// MSI replaces INTx.
    bool enabled() const noexcept override { return enabled_.load(std::memory_order_acquire); }

    /// With fewer vectors enabled than there are, several sources share one. Never null.
    MsiVector* vector(std::uint64_t number) const noexcept override;
    bool take_pending(std::uint64_t number) noexcept override;

private:
    Msi(Function& function, std::vector<VectorSlot> vectors);

    void before_read(unsigned offset, unsigned size) noexcept override;
    void written(unsigned offset, unsigned size) noexcept override;
    void cleared() noexcept override;
    void save_registers(StateWriter& to) override;
    Result<ApplyState> read_registers(StateReader& from) override;
    void update() noexcept;
    std::uint32_t pending() const noexcept;
    void apply(std::uint32_t pending) noexcept;

    Function& function_;
    unsigned capability_ = 0;
    std::vector<VectorSlot> vectors_;
    std::atomic<bool> enabled_{false};
    std::atomic<unsigned> granted_{1};  // how many vectors the guest enabled
};

}  // namespace vmm::pci
