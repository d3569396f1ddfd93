// SPDX-License-Identifier: Apache-2.0
// The PCI host bridge: which functions there are, how the guest finds them, where BARs may lie.
//
// Spec: PCI Local Bus 3.0, 3.2.2.3.2 (0xcf8/0xcfc); PCI Express 6.0, 7.2.2 (ECAM); PCI Firmware
// 3.3, 4.1 (MCFG). There is one bus, number 0, without bridges below it: 31 slots with up to eight
// functions each are room for 248 devices, and a guest has 1 MiB of ECAM and one bus to scan. The
// first 31 devices become function 0 of a slot each, later ones share slots. Where it is known
// beforehand that there will be more, neighbours share a slot: guests number devices in the order
// of slots and functions, and a user expects that of the command line. A device may ask for a slot;
// those that do are added first, so that others find theirs around them.
//
// Threads: add() and assign_addresses() before the first vCPU runs, plug() and unplug() also while
// they do, and all of these and reset() from one thread. ecam() and cam() are called by
// the buses they are mapped on.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "pci/endpoint.hpp"
#include "pci/function.hpp"
#include "vmm/error.hpp"
#include "vmm/io_bus.hpp"
#include "vmm/io_device.hpp"
#include "vmm/irq_line.hpp"
#include "vmm/memory_layout.hpp"
#include "vmm/mutex.hpp"
#include "vmm/stateful.hpp"

namespace vmm::pci {

/// A stretch of an address space that BARs may use; size 0 means none.
struct Window {
    std::uint64_t base = 0;
    std::uint64_t size = 0;  ///< bytes
};

/// Where BARs may lie: what _CRS tells the guest and what we assign from are the same numbers.
struct Windows {
    Window io;
    Window memory32;  ///< below 4 GiB
    Window memory64;
};

struct Address {
    std::uint8_t slot = 0;      ///< 0..31
    std::uint8_t function = 0;  ///< 0..7
    friend bool operator==(const Address&, const Address&) = default;
};

/// On bus 0. Spec: PCI Express 6.0, 2.2.4.2.
constexpr std::uint16_t requester_id(Address place) {
    return static_cast<std::uint16_t>(place.slot << 3 | place.function);
}

inline constexpr unsigned kSlots = 32;
using SlotSet = std::uint32_t;  ///< a bit for each slot
inline constexpr unsigned kFunctions = 8;
inline constexpr unsigned kPins = 4;                                       // INTA to INTD
inline constexpr std::uint64_t kEcamSize = kSlots * kFunctions * 0x1000u;  // bytes, bus 0 alone
inline constexpr std::uint64_t kCamPort = 0xcf8;
inline constexpr std::uint64_t kCamSize = 8;  // bytes: address, then data

/// Which of the four lines pin `pin` (1 = INTA) of a slot is wired to: what _PRT says.
/// Spec: PCI-to-PCI Bridge 1.2, 9.1 (the same rotation, on the root bus).
constexpr unsigned line_of(unsigned slot, unsigned pin) {
    return (slot + pin - 1) % kPins;
}

struct HostBridgeParts {
    Windows windows;
    IoBus& mmio;
    IoBus& io;  ///< port I/O, or the MMIO stretch that stands for it
    /// Takes memory in BARs; null: the guest reaches it by exits alone.
    MemoryLayout* memory = nullptr;
    std::array<IrqLine*, kPins> lines;  ///< level triggered; may be null: no INTx
    /// What the guest finds in Interrupt Line for each line (PC: 8259 input or GSI); 0xff unknown.
    std::array<std::uint8_t, kPins> line_numbers{0xff, 0xff, 0xff, 0xff};
    std::size_t expected = 0;  ///< how many endpoints add() will be called for; 0 unknown
};

class HostBridge final : public Resettable, public Stateful {
public:
    explicit HostBridge(const HostBridgeParts& parts);
    ~HostBridge() override;
    HostBridge(const HostBridge&) = delete;
    HostBridge& operator=(const HostBridge&) = delete;

    /// `endpoint` outlives the bridge. It becomes function 0 of `slot`, or gets a free place. Fails
    /// when that is taken, or all places are (Config).
    Result<Address> add(Endpoint& endpoint, std::optional<std::uint8_t> slot = std::nullopt);

    /// Gives every BAR its initial address: largest first, from the windows. Fails when a window
    /// is too small (Config).
    Result<> assign_addresses();

    // While vCPUs run, from one thread.

    /// Both in one, for an endpoint that comes later: whoever finds it finds it whole. It gets
    /// `slot` or the first free one, and shares one that is not `closed` if there is none; others
    /// stay where they are. Changes nothing if it fails.
    Result<Address> plug(Endpoint& endpoint, std::optional<std::uint8_t> slot = std::nullopt,
                         SlotSet closed = 0);
    /// Nobody finds the endpoint any more: its configuration space reads as all ones, its BARs are
    /// unmapped, its vectors masked, its pin is low. A vCPU may still be inside of it, so it must
    /// stay alive until each has left, and so must what its BARs lead to. Its place is free.
    void unplug(Endpoint& endpoint) noexcept;
    /// Not if others share its slot: without function 0 a guest would not find these.
    bool can_unplug(const Endpoint& endpoint) const noexcept;

    /// More than the bridge itself. Before the first vCPU runs.
    bool has_devices() const noexcept { return present_.size() > 1; }

    IoDevice& ecam() noexcept;  ///< kEcamSize bytes
    IoDevice& cam() noexcept;   ///< kCamSize ports from kCamPort

    void reset() noexcept override;

    // Stateful. The registers of the bridge, not those of its endpoints.

    void save(StateWriter& to) override;
    /// After those of its endpoints: from here on BARs are where their registers say.
    Result<> restore(StateReader& from) override;

    /// Brings the I/O buses in line with what the endpoints' registers say. Called after each
    /// configuration write; never with a device's lock held.
    void settle() noexcept;

private:
    class Ecam;
    class Cam;
    class SharedLine;
    class Pin;

    /// Where a BAR is: after power-on, and on its I/O bus now (nothing: nowhere).
    struct Placed {
        std::uint64_t initial = 0;
        std::optional<std::uint64_t> mapped;
        std::size_t pieces = 0;  ///< how many of its pieces of memory the guest has
    };
    /// A place on the bus that has been taken once; it stays, because a vCPU may still be inside.
    struct Seat {
        std::atomic<Endpoint*> endpoint{nullptr};  // null: free again
        std::atomic<bool> written{false};          // since the last settle()
        // Under layout_lock_.
        std::array<Placed, kBaseAddresses> bars{};
        std::unique_ptr<Pin> pin;  // null: no interrupt pin

        Endpoint& taken() const noexcept { return *endpoint.load(std::memory_order_relaxed); }
    };

    /// The first `share` functions of a slot are taken before the next slot is.
    std::optional<Address> free_place(unsigned share, SlotSet closed) const noexcept;
    Result<Address> place_for(std::optional<std::uint8_t> slot, unsigned share,
                              SlotSet closed) const;
    Seat* seat(unsigned index) const noexcept {
        return index < seats_.size() ? seats_[index].load(std::memory_order_acquire) : nullptr;
    }
    Endpoint* at(unsigned slot, unsigned function) const noexcept {
        const Seat* const found = seat(slot * kFunctions + function);
        return found == nullptr ? nullptr : found->endpoint.load(std::memory_order_acquire);
    }
    void take(Address place, Endpoint& endpoint, std::span<const std::uint64_t> addresses = {});
    void connect_pin(Seat& seat, Endpoint& endpoint, Address place);
    bool is_shared(unsigned slot) const noexcept;
    bool is_multi_function(unsigned index) const noexcept;
    struct Range {
        std::uint64_t base;
        std::uint64_t last;
    };
    std::vector<Range> taken_ranges(bool io) const;
    std::optional<std::uint64_t> free_range(const BarShape& shape, std::vector<Range>& taken) const;
    void settle_all() noexcept;
    std::uint32_t read(unsigned index, unsigned offset, unsigned size) noexcept;
    void write(unsigned index, unsigned offset, unsigned size, std::uint32_t value) noexcept;

    std::optional<std::uint64_t> wanted(Endpoint& endpoint, unsigned bar) const noexcept;
    bool inside_window(const BarShape& shape, std::uint64_t at) const noexcept;
    IoBus& bus_of(const BarShape& shape) const noexcept;
    void map_memory(const Bar& bar, Placed& placed) noexcept;
    void unmap(Seat& seat, Endpoint& endpoint, unsigned bar) noexcept;
    void unmap_stale(Seat& seat) noexcept;
    void map_wanted(Seat& seat) noexcept;

    HostBridgeParts parts_;
    /// vCPUs look here without a lock.
    std::array<std::atomic<Seat*>, kSlots * kFunctions> seats_{};
    std::vector<std::unique_ptr<Seat>> made_;  // what seats_ points to
    std::vector<Seat*> present_;  // taken, in the order of add(); changes under layout_lock_
    Function own_function_;
    std::array<std::unique_ptr<SharedLine>, kPins> lines_;
    std::unique_ptr<Ecam> ecam_;
    std::unique_ptr<Cam> cam_;
    /// Over the map of BARs, held while they move: a vCPU whose write is settled by another one
    /// waits here until that is done. Taken before an endpoint's lock, never after it.
    RankedMutex<LockRank::PciLayout> layout_lock_;
    bool reported_ = false;               // that memory could not be mapped; under layout_lock_
    std::atomic<bool> unsettled_{false};  // some endpoint was written to since the last settle()
};

}  // namespace vmm::pci
