// SPDX-License-Identifier: Apache-2.0
// MSI-X: a table of messages in a BAR, one per vector, with masks and pending bits.
//
// Spec: PCI Local Bus 3.0, 6.8.2. Accesses are aligned 4 or 8 bytes (6.8.2.6 leaves others
// undefined: they read as all ones and write nothing).
// Threads: everything with the function's lock held, except enabled(), which any thread may ask.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "pci/function.hpp"
#include "pci/message_interrupts.hpp"
#include "pci/vector_slot.hpp"
#include "vmm/error.hpp"
#include "vmm/msi.hpp"
#include "vmm/stateful.hpp"

namespace vmm::pci {

struct MsixPlace {
    unsigned bar = 0;
    std::uint32_t table = 0;    ///< bytes into the BAR, a multiple of 8
    std::uint32_t pending = 0;  ///< the same for the pending bit array
};

class Msix final : public MessageInterrupts, CapabilityRegisters {
public:
    static constexpr unsigned kMaxVectors = 2048;
    static constexpr std::uint64_t kEntrySize = 16;  // bytes

    /// Adds the capability to `function`; 1 to kMaxVectors vectors.
    static Result<std::unique_ptr<Msix>> create(Function& function, MsiSink& sink, unsigned vectors,
                                                MsixPlace place);

    unsigned size() const noexcept { return static_cast<unsigned>(vectors_.size()); }
    std::uint64_t table_bytes() const noexcept { return size() * kEntrySize; }
    std::uint64_t pending_bytes() const noexcept { return (size() + 63) / 64 * 8; }

    /// The vector the guest named, or null when there is none of that number. Stays valid.
    MsiVector* vector(std::uint64_t number) const noexcept override;

    /// Takes what was signalled and held back since: true if there was something.
    bool take_pending(std::uint64_t number) noexcept override;

    /// MSI-X replaces INTx and MSI.
    bool enabled() const noexcept override { return enabled_.load(std::memory_order_acquire); }

    // Offsets from the start of the table or the pending bit array.
    std::uint64_t read_table(Access access) const noexcept;
    void write_table(Access access, std::uint64_t value) noexcept;
    std::uint64_t read_pending(Access access) const noexcept;

private:
    struct Entry {
        MsiMessage message;
        std::uint32_t control = 1;  // bit 0: masked
        VectorSlot slot;
    };
    struct SavedEntry {
        MsiMessage message;
        bool masked = true;
        bool pending = false;
    };

    Msix(Function& function, std::vector<Entry> vectors, MsixPlace place);

    void before_read(unsigned /*offset*/, unsigned /*size*/) noexcept override {}
    void written(unsigned offset, unsigned size) noexcept override;
    void cleared() noexcept override;  // all vectors masked, nothing pending, disabled
    void save_registers(StateWriter& to) override;
    Result<ApplyState> read_registers(StateReader& from) override;

    void write_dword(std::uint64_t offset, std::uint32_t value) noexcept;
    std::uint32_t read_dword(std::uint64_t offset) const noexcept;
    void read_control() noexcept;
    void update(Entry& entry) noexcept;
    void apply(std::span<const SavedEntry> saved) noexcept;

    Function& function_;
    unsigned capability_ = 0;
    std::vector<Entry> vectors_;
    std::atomic<bool> enabled_{false};
    bool function_masked_ = false;
};

}  // namespace vmm::pci
