// SPDX-License-Identifier: Apache-2.0
// One PCI function as its host bridge sees it: emulated (pci/function.hpp), or one of the host's.
//
// Spec: PCI Local Bus 3.0, chapter 6; PCI Express 6.0, 7.2 (configuration space of 4 KiB).
// An endpoint answers in configuration space and says where it wants its BARs; whether they may be
// there, and that they are, is the host bridge's business. Of its place an endpoint knows no more
// than the id that its messages carry.
// Threads: any; what is said of a lock at each function.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/io_device.hpp"
#include "vmm/memory_layout.hpp"
#include "vmm/mutex.hpp"

namespace vmm::pci {

inline constexpr unsigned kBarCount = 6;
/// The expansion ROM has a base address as well, which bars() and the others count after the BARs.
inline constexpr unsigned kRomBar = kBarCount;
inline constexpr unsigned kBaseAddresses = kBarCount + 1;
inline constexpr unsigned kConventionalSize = 256;  // bytes of configuration space
inline constexpr unsigned kConfigSize = 4096;       // bytes, with the extended space

enum class BarKind : std::uint8_t { Io, Memory32, Memory64 };

/// What a BAR is, apart from its address. `size` is a power of two of at least 4 (I/O) or 16.
struct BarShape {
    BarKind kind = BarKind::Memory32;
    bool prefetchable = false;
    std::uint64_t size = 0;  ///< bytes
};

/// Memory in a BAR. The guest reaches it without an exit; where the hypervisor cannot map it, the
/// BAR's region answers in its place.
struct BarMemory {
    std::uint64_t offset = 0;  ///< into the BAR; bytes, whole pages of the host
    DeviceMemory memory;
};

struct Bar {
    BarShape shape;
    IoDevice* region = nullptr;     ///< answers inside the BAR; null: no such BAR
    std::vector<BarMemory> memory;  ///< pieces that do not overlap; mostly none
};

/// Takes the level of an interrupt pin; the host bridge makes one per endpoint out of its shared
/// lines.
class InterruptPin {
public:
    virtual ~InterruptPin() = default;
    virtual void set(bool high) noexcept = 0;  ///< a leaf call; repeating a level changes nothing
};

class Endpoint {
public:
    virtual ~Endpoint() = default;

    // With lock() held.

    virtual Mutex& lock() noexcept = 0;
    /// `size` is 1, 2 or 4, `offset` a multiple of it below kConfigSize.
    virtual std::uint32_t read_config(unsigned offset, unsigned size) noexcept = 0;
    virtual void write_config(unsigned offset, unsigned size, std::uint32_t value) noexcept = 0;
    /// Where the guest wants the BAR, any number; nothing while it is not to be decoded.
    virtual std::optional<std::uint64_t> decoded_at(unsigned bar) const noexcept = 0;
    /// Power-on values; BARs return to their initial addresses.
    virtual void reset() noexcept = 0;

    // BARs. Set-up, before the first vCPU runs or the endpoint is put on a bus.

    /// By index, kBaseAddresses of them. Never changes.
    virtual std::span<const Bar> bars() const noexcept = 0;
    /// The address that the BAR has after power-on.
    virtual void set_initial_address(unsigned bar, std::uint64_t at) noexcept = 0;

    /// What its messages are sent as. Set-up. Spec: PCI Express 6.0, 2.2.4.2.
    virtual void set_requester_id(std::uint16_t id) noexcept = 0;

    // What becomes of the guest's configuration writes. Calls come one at a time, with no lock of a
    // device held, before the guest's write that caused them is over.

    virtual void bar_mapped(unsigned bar, std::uint64_t at) noexcept = 0;
    virtual void bar_unmapped(unsigned bar) noexcept = 0;
    /// A configuration write may have had an effect that has to happen without the lock.
    virtual void after_config_write() noexcept = 0;

    // The interrupt pin.

    /// It signals on a pin; which one, the host bridge decides (A for function 0). Never changes.
    virtual bool uses_intx() const noexcept = 0;
    /// `pin` (1 = INTA) and `line` are what the guest reads in Interrupt Pin and Interrupt Line.
    virtual void connect_pin(std::uint8_t pin, std::uint8_t line, InterruptPin& to) noexcept = 0;
    /// The pin goes; levels have no effect from here on.
    virtual void disconnect_pin() noexcept = 0;
};

}  // namespace vmm::pci
