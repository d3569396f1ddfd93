// SPDX-License-Identifier: Apache-2.0
// An emulated PCI function: its configuration space, its BARs, its interrupt pin.
//
// Spec: PCI Local Bus 3.0, chapter 6 (type 0 header, 6.2.5 base addresses, 6.7 capabilities);
// PCI Express 6.0, 7.6.3 (extended capabilities).
// Here: what every function has. Not here: where it sits and where its BARs may lie
// (pci/host_bridge.hpp), message interrupts (pci/msix.hpp, pci/msi.hpp), bridges.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "pci/config_space.hpp"
#include "pci/endpoint.hpp"
#include "pci/rom_image.hpp"
#include "vmm/error.hpp"
#include "vmm/io_device.hpp"
#include "vmm/mutex.hpp"
#include "vmm/stateful.hpp"

namespace vmm::pci {

struct Identity {
    std::uint16_t vendor = 0;
    std::uint16_t device = 0;
    std::uint16_t subsystem_vendor = 0;
    std::uint16_t subsystem = 0;
    std::uint32_t class_code = 0;  ///< 24 bits: base class, subclass, programming interface
    std::uint8_t revision = 0;
};

/// What the device behind a function is told of its place. Calls come one at a time, with no lock
/// of a device held, before the guest's write that caused them is over.
class Placement {
public:
    virtual ~Placement() = default;
    virtual void bar_mapped(unsigned bar, std::uint64_t at) noexcept = 0;
    virtual void bar_unmapped(unsigned bar) noexcept = 0;
    /// A configuration write may have had an effect that has to happen without the lock.
    virtual void after_config_write() noexcept = 0;
};

/// A capability with registers that do something. Offsets count from the capability's first byte.
/// Called with the function's lock held; `size` is 1, 2 or 4 and the access lies inside.
class CapabilityRegisters {
public:
    virtual ~CapabilityRegisters() = default;
    virtual void before_read(unsigned offset, unsigned size) noexcept = 0;
    virtual void written(unsigned offset, unsigned size) noexcept = 0;
    /// The configuration bytes are at their power-on values again.
    virtual void cleared() noexcept = 0;

    // State beyond the configuration bytes that the guest can write; where there is none, these
    // write and read nothing.

    virtual void save_registers(StateWriter& to) = 0;
    /// What it gives comes after the configuration bytes have been restored.
    virtual Result<ApplyState> read_registers(StateReader& from) = 0;
};

/// Threads: as Endpoint; the set-up functions before the function is put on a bus, set_intx() from
/// any thread.
class Function final : public Endpoint, public Stateful {
public:
    explicit Function(const Identity& identity);
    Function(const Function&) = delete;
    Function& operator=(const Function&) = delete;

    // Set-up, before the function is put on a bus.

    /// `region` answers inside the BAR. A region that shares state with the configuration space
    /// returns this function's lock() from its own lock(). Memory64 takes the next index as well.
    /// Parts of it may be memory.
    void add_bar(unsigned index, BarShape shape, IoDevice& region,
                 std::vector<BarMemory> memory = {});
    /// Expansion ROM: `image` answers inside. Spec: PCI 3.0, 6.2.5.2, 6.3.
    void add_rom(RomImage& image);
    void set_placement(Placement& placement) { placement_ = &placement; }
    /// Appends a capability: `body` follows its id and next pointer; `writable` masks the bits of
    /// body that the guest may write (shorter than body: the rest is read-only). Gives its offset.
    unsigned add_capability(std::uint8_t id, std::span<const std::uint8_t> body,
                            std::span<const std::uint8_t> writable = {},
                            CapabilityRegisters* registers = nullptr);
    /// PCI Express capability of an endpoint that sits on the root bus (no link).
    /// Spec: PCI Express 6.0, 7.5.3.
    unsigned add_express();
    /// An extended capability, from 0x100 on; only for a function with add_express(). `body` and
    /// `writable` as above, after the four bytes of the header. Gives its offset.
    unsigned add_extended_capability(std::uint16_t id, std::uint8_t version,
                                     std::span<const std::uint8_t> body,
                                     std::span<const std::uint8_t> writable = {});
    /// The function signals on a pin.
    void use_intx() { uses_intx_ = true; }

    // Endpoint

    Mutex& lock() noexcept override { return lock_; }
    std::uint32_t read_config(unsigned offset, unsigned size) noexcept override;
    void write_config(unsigned offset, unsigned size, std::uint32_t value) noexcept override;
    std::optional<std::uint64_t> decoded_at(unsigned bar) const noexcept override;
    void reset() noexcept override;
    std::span<const Bar> bars() const noexcept override { return bars_; }
    void set_initial_address(unsigned bar, std::uint64_t at) noexcept override;
    void set_requester_id(std::uint16_t id) noexcept override { requester_id_ = id; }
    void bar_mapped(unsigned bar, std::uint64_t at) noexcept override;
    void bar_unmapped(unsigned bar) noexcept override;
    void after_config_write() noexcept override;
    bool uses_intx() const noexcept override { return uses_intx_; }
    void connect_pin(std::uint8_t pin, std::uint8_t line, InterruptPin& to) noexcept override;
    void disconnect_pin() noexcept override;

    // Stateful. What the guest wrote, and its vectors with what is pending. The level of the pin is
    // the device's to restore. A function that was made otherwise is refused. The BARs move when
    // the host bridge is restored, which comes after its functions.

    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;
    /// The first half of restore(). lock() held from before this until after the second half.
    Result<ApplyState> read_state(StateReader& from);

    /// Where the register says BAR `index` is; any number, as the guest left it.
    std::uint64_t bar_address(unsigned index) const noexcept;

    // The device's side.

    std::uint16_t requester_id() const noexcept { return requester_id_; }
    /// Level of the function's interrupt condition. Reaches the pin unless Interrupt Disable is on.
    void set_intx(bool high) noexcept;

    /// The guest lets the device touch memory. lock() held.
    bool bus_master() const noexcept;
    std::uint8_t config_byte(unsigned offset) const noexcept {
        return space_.get<std::uint8_t>(offset);
    }
    std::uint16_t config_word(unsigned offset) const noexcept {
        return space_.get<std::uint16_t>(offset);
    }
    std::uint32_t config_dword(unsigned offset) const noexcept {
        return space_.get<std::uint32_t>(offset);
    }
    void set_config_dword(unsigned offset, std::uint32_t to) noexcept { space_.put(offset, to); }

private:
    struct Capability {
        unsigned offset = 0;
        unsigned size = 0;
        std::uint8_t id = 0;
        CapabilityRegisters* registers = nullptr;
    };
    static constexpr unsigned kMaxCapabilities = 12;
    void save_make(StateWriter& to) const;
    void require_make(StateReader& from) const;
    void require_bar(StateReader& from, unsigned index) const;
    Result<std::vector<ApplyState>> read_capabilities(StateReader& from) const;
    CapabilityRegisters* registers_at(unsigned offset, unsigned size,
                                      unsigned& inside) const noexcept;
    void let_decode(BarKind kind);
    void set_bar_address(unsigned index, std::uint64_t at) noexcept;
    void command_changed() noexcept;
    void drive_pin() noexcept;  // pin_lock_ held

    RankedMutex<LockRank::Device> lock_;
    ConfigSpace space_;
    std::array<Bar, kBaseAddresses> bars_{};
    std::array<std::uint64_t, kBaseAddresses> initial_{};  // what reset puts into the registers
    std::array<Capability, kMaxCapabilities> capabilities_{};
    unsigned capability_count_ = 0;
    unsigned last_capability_ = 0;  // offset, 0: none yet
    unsigned free_ = 0x40;          // where the next capability goes
    unsigned last_extended_ = 0;    // offset, 0: none yet
    unsigned free_extended_ = kConventionalSize;
    Placement* placement_ = nullptr;
    std::uint16_t requester_id_ = 0;
    bool uses_intx_ = false;
    bool express_ = false;

    RankedMutex<LockRank::PciPin> pin_lock_;  // over what follows; a leaf
    InterruptPin* pin_ = nullptr;
    bool intx_high_ = false;
    bool intx_disabled_ = false;
    std::atomic<bool> intx_status_{false};  // intx_high_, for the status register
};

}  // namespace vmm::pci
