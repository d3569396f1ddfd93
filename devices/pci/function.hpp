// SPDX-License-Identifier: Apache-2.0
// One PCI function: its configuration space, its BARs, its interrupt pin.
//
// Spec: PCI Local Bus 3.0, chapter 6 (type 0 header, 6.2.5 base addresses, 6.7 capabilities).
// Here: what every function has. Not here: where it sits and where its BARs may lie
// (pci/host_bridge.hpp), message interrupts (pci/msix.hpp, pci/msi.hpp), bridges, expansion ROMs
// (read as absent).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>

#include "vmm/io_device.hpp"
#include "vmm/mutex.hpp"

namespace vmm::pci {

inline constexpr unsigned kBarCount = 6;
inline constexpr unsigned kConfigSize = 256;  // bytes; the extended space behind it is empty

struct Identity {
    std::uint16_t vendor = 0;
    std::uint16_t device = 0;
    std::uint16_t subsystem_vendor = 0;
    std::uint16_t subsystem = 0;
    std::uint32_t class_code = 0;  ///< 24 bits: base class, subclass, programming interface
    std::uint8_t revision = 0;
};

enum class BarKind : std::uint8_t { Io, Memory32, Memory64 };

/// What a BAR is, apart from its address. `size` is a power of two of at least 4 (I/O) or 16.
struct BarShape {
    BarKind kind = BarKind::Memory32;
    bool prefetchable = false;
    std::uint64_t size = 0;  ///< bytes
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
};

/// Takes the level of an interrupt pin; the host bridge makes one per function out of its shared
/// lines.
class InterruptPin {
public:
    virtual ~InterruptPin() = default;
    virtual void set(bool high) noexcept = 0;  ///< a leaf call; repeating a level changes nothing
};

/// Threads: read_config(), write_config() and the set-up functions with lock() held (set-up before
/// the first vCPU runs needs no lock); set_intx() from any thread.
class Function final {
public:
    explicit Function(const Identity& identity);
    Function(const Function&) = delete;
    Function& operator=(const Function&) = delete;

    // Set-up, before the function is put on a bus.

    /// `region` answers inside the BAR. A region that shares state with the configuration space
    /// returns this function's lock() from its own lock(). Memory64 takes the next index as well.
    void add_bar(unsigned index, BarShape shape, IoDevice& region);
    void set_placement(Placement& placement) { placement_ = &placement; }
    /// Appends a capability: `body` follows its id and next pointer; `writable` masks the bits of
    /// body that the guest may write (shorter than body: the rest is read-only). Gives its offset.
    unsigned add_capability(std::uint8_t id, std::span<const std::uint8_t> body,
                            std::span<const std::uint8_t> writable = {},
                            CapabilityRegisters* registers = nullptr);
    /// PCI Express capability of an endpoint that sits on the root bus (no link).
    /// Spec: PCI Express 6.0, 7.5.3.
    unsigned add_express();
    /// The function signals on a pin; which one, the host bridge decides (A for function 0).
    void use_intx() { uses_intx_ = true; }

    // The host bridge's side.

    /// `size` is 1, 2 or 4, `offset` a multiple of it below 4096.
    std::uint32_t read_config(unsigned offset, unsigned size) noexcept;
    void write_config(unsigned offset, unsigned size, std::uint32_t value) noexcept;
    Mutex& lock() noexcept { return lock_; }

    struct Bar {
        BarShape shape;
        IoDevice* region = nullptr;   ///< null: no such BAR
        std::uint64_t initial = 0;    ///< what reset puts into the register
        std::uint64_t mapped_at = 0;  ///< the bridge's: where the region is on an IoBus now
        bool mapped = false;          ///< the bridge's
    };
    std::array<Bar, kBarCount>& bars() noexcept { return bars_; }
    /// Where the register says BAR `index` is; any number, as the guest left it.
    std::uint64_t bar_address(unsigned index) const noexcept;
    void set_bar_address(unsigned index, std::uint64_t at) noexcept;
    /// The command register lets accesses of this BAR's kind through.
    bool decodes(unsigned index) const noexcept;
    Placement* placement() const noexcept { return placement_; }
    bool uses_intx() const noexcept { return uses_intx_; }
    void connect_pin(std::uint8_t pin, std::uint8_t line, InterruptPin& to) noexcept;
    /// The host bridge goes; levels lead nowhere from here on.
    void disconnect_pin() noexcept;

    /// Power-on values; BARs return to their initial addresses.
    void reset() noexcept;

    /// Marks that after_config_write() is due; take_touch() tells and forgets. lock() held.
    void touch() noexcept { touched_ = true; }
    bool take_touch() noexcept { return std::exchange(touched_, false); }

    // The device's side.

    /// Level of the function's interrupt condition. Reaches the pin unless Interrupt Disable is on.
    void set_intx(bool high) noexcept;

    /// The guest lets the device touch memory. lock() held.
    bool bus_master() const noexcept;
    std::uint8_t config_byte(unsigned offset) const noexcept { return value_[offset]; }
    std::uint16_t config_word(unsigned offset) const noexcept;
    std::uint32_t config_dword(unsigned offset) const noexcept;
    void set_config_byte(unsigned offset, std::uint8_t to) noexcept { value_[offset] = to; }
    void set_config_dword(unsigned offset, std::uint32_t to) noexcept;

private:
    struct Capability {
        unsigned offset = 0;
        unsigned size = 0;
        CapabilityRegisters* registers = nullptr;
    };
    static constexpr unsigned kMaxCapabilities = 12;

    CapabilityRegisters* registers_at(unsigned offset, unsigned size,
                                      unsigned& inside) const noexcept;
    void set_word(unsigned offset, std::uint16_t to) noexcept;
    void command_changed() noexcept;
    void drive_pin() noexcept;  // pin_lock_ held

    RankedMutex<LockRank::Device> lock_;
    std::array<std::uint8_t, kConfigSize> value_{};
    std::array<std::uint8_t, kConfigSize> writable_{};
    std::array<std::uint8_t, kConfigSize> power_on_{};  // of the bytes a guest can write
    std::array<Bar, kBarCount> bars_{};
    std::array<Capability, kMaxCapabilities> capabilities_{};
    unsigned capability_count_ = 0;
    unsigned last_capability_ = 0;  // offset, 0: none yet
    unsigned free_ = 0x40;          // where the next capability goes
    Placement* placement_ = nullptr;
    bool uses_intx_ = false;
    bool express_ = false;
    bool touched_ = false;

    RankedMutex<LockRank::PciPin> pin_lock_;  // over what follows; a leaf
    InterruptPin* pin_ = nullptr;
    bool intx_high_ = false;
    bool intx_disabled_ = false;
    std::atomic<bool> intx_status_{false};  // intx_high_, for the status register
};

}  // namespace vmm::pci
