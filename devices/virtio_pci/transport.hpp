// SPDX-License-Identifier: Apache-2.0
// A virtio device as a PCI function: modern virtio over PCI.
//
// Spec: virtio 1.3, 4.1. One 32-bit BAR holds all structures; the function has MSI-X with a vector
// for each queue and one for the configuration, and INTx with the ISR register for a driver that
// does not use it. Kicks go through ioeventfds where the hypervisor has them, completions through
// the eventfd of a vector: no vCPU thread is in the data path. Where there are I/O ports, a second
// BAR takes the kicks there: an OUT names port and value in the exit, while KVM has to fetch and
// decode the instruction behind an MMIO write on hosts without Intel's fast path.
// Registers answer only accesses of exactly their width (4.1.3.1), and two of 32 bits side by side
// one of 64; others read as all ones and write nothing. ISR and the device's configuration space
// answer any width.
// Shared memory regions of the body are in a 64-bit BAR of their own, which the guest maps.
// Not offered: NOTIFICATION_DATA and NOTIF_CONFIG_DATA, which would cost the doorbell its match on
// the address alone; administration queues; legacy interfaces.
//
// Threads: the bus calls the BAR and the configuration space; Placement's calls come from the PCI
// bus without locks; used_buffers() and config_changed() come from I/O threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "pci/function.hpp"
#include "pci/memory_bar.hpp"
#include "pci/msix.hpp"
#include "virtio/device.hpp"
#include "virtio/registers.hpp"
#include "vmm/doorbell.hpp"
#include "vmm/error.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/io_device.hpp"
#include "vmm/msi.hpp"
#include "vmm/mutex.hpp"
#include "vmm/stateful.hpp"

namespace vmm::virtio_pci {

struct Parts {
    GuestMemory& memory;
    MsiSink& msi;
    Doorbells* doorbells = nullptr;  ///< null: every kick is an exit to the bus
    /// Signalled whenever the device has let go of its queues, or leaves them alone for a pause;
    /// null: nobody listens.
    const EventFd* released = nullptr;
};

struct Options {
    virtio::CommonOptions common;
    bool ports = false;    ///< kicks by port I/O, too; the driver chooses
    bool express = false;  ///< a PCI Express capability: some 25 more configuration reads at boot
};

/// Where things are in the BAR. Bytes; the MSI-X table and its pending bits fill the end.
namespace layout {
inline constexpr std::uint64_t kCommon = 0x0000;
inline constexpr std::uint64_t kCommonSize = 0x3c;
inline constexpr std::uint64_t kIsr = 0x0800;
inline constexpr std::uint64_t kIsrSize = 1;
inline constexpr std::uint64_t kDevice = 0x1000;
inline constexpr std::uint64_t kDeviceSize = 0x1000;
inline constexpr std::uint64_t kNotify = 0x2000;  // a page of its own
inline constexpr std::uint64_t kNotifySize = 0x1000;
inline constexpr std::uint64_t kNotifyMultiplier = 4;
inline constexpr std::uint64_t kMsix = 0x3000;
}  // namespace layout

class Transport final : public Stateful,
                        private virtio::Transport,
                        private pci::Placement,
                        private pci::CapabilityRegisters {
public:
    /// `device` outlives the transport.
    static Result<std::unique_ptr<Transport>> create(virtio::Device& device, const Parts& parts,
                                                     Options options);
    /// Waits until the device has let go of its queues.
    ~Transport() override;
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    /// To be put on a bus.
    pci::Function& function() noexcept { return function_; }

    // A reset of the machine, in steps, none of which waits for the device: ask, wait until it has
    // released its queues, finish. No vCPU runs. Comes before the bus's own reset.

    void ask_reset() noexcept { registers_->ask_reset(); }
    bool released() noexcept { return registers_->released(); }
    void finish_reset() noexcept { place_doorbells(); }

    // A pause of the machine, which does not wait either. No vCPU runs from before ask_pause()
    // until after resume(). A reset ends it.

    void ask_pause() noexcept { registers_->ask_pause(); }
    /// The device changes no byte of guest RAM.
    bool quiet() noexcept { return registers_->quiet(); }
    void resume() noexcept;

    // Stateful. The function with its vectors, the registers, which vector is whose, and the ISR;
    // the device's own state is not in it.

    /// The device is quiet.
    void save(StateWriter& to) override;
    /// As virtio::Registers::restore(): no driver runs, guest RAM is there. The host bridge is
    /// restored after this.
    Result<> restore(StateReader& from) override;

private:
    /// The BAR.
    class Region;
    /// The other BAR.
    class Ports;
    static constexpr unsigned kBar = 0;
    static constexpr unsigned kPortBar = 2;
    static constexpr unsigned kSharedBar = 4;  // and 5
    static constexpr std::uint16_t kNoVector = 0xffff;

    /// A source of interrupts: the number the driver wrote, and what it stands for.
    struct Vector {
        std::uint16_t number = kNoVector;
        std::atomic<MsiVector*> target{nullptr};
    };

    Transport(virtio::Device& device, const Parts& parts);
    Result<> build(virtio::Device& device, Options options);
    void add_capabilities(virtio::Device& device, Options options);
    struct Structure {
        std::uint8_t type = 0;
        std::uint64_t offset = 0;
        std::uint64_t length = 0;
        std::optional<std::uint32_t> extra{};
        unsigned bar = kBar;
        std::uint8_t id = 0;
        bool wide = false;  ///< 64-bit offset and length
    };
    unsigned add_structure(const Structure& structure);
    void add_shared_memory(std::span<const virtio::SharedMemory> regions);
    std::uint64_t notify_length() const noexcept;

    // The BAR, with the function's lock held.
    std::uint64_t read_bar(Access access) noexcept;
    void write_bar(Access access, std::uint64_t value) noexcept;
    std::uint64_t read_common(Access access) noexcept;
    void write_common(Access access, std::uint64_t value) noexcept;
    std::uint64_t read_queue_register(Access access) noexcept;
    void write_queue_register(Access access, std::uint64_t value) noexcept;
    std::uint64_t read_device_config(Access access) noexcept;
    void write_device_config(Access access, std::uint64_t value) noexcept;
    std::uint8_t take_isr() noexcept;
    void notify(std::uint64_t offset) noexcept;
    void set_vector(Vector& vector, std::uint16_t to) noexcept;
    std::uint16_t read_vector(StateReader& from, std::string_view field) const;
    void tell_calls() noexcept;
    Vector* selected_vector() noexcept;
    void after_write() noexcept;

    // virtio::Transport
    void used_buffers(std::uint16_t queue) noexcept override;
    void config_changed() noexcept override;
    void registers_cleared() noexcept override;
    void queues_released() noexcept override;
    void device_paused() noexcept override;
    Mutex& lock() noexcept override { return function_.lock(); }

    // pci::Placement
    void bar_mapped(unsigned bar, std::uint64_t at) noexcept override;
    void bar_unmapped(unsigned bar) noexcept override;
    void after_config_write() noexcept override;

    // pci::CapabilityRegisters: the window to the BAR in configuration space
    // (VIRTIO_PCI_CAP_PCI_CFG).
    void before_read(unsigned offset, unsigned size) noexcept override;
    void written(unsigned offset, unsigned size) noexcept override;
    void cleared() noexcept override {}
    void save_registers(StateWriter&) override {}
    Result<ApplyState> read_registers(StateReader&) override;
    struct Target {
        unsigned bar = kBar;
        Access access;
    };
    std::optional<Target> window_target(unsigned offset, unsigned size) const noexcept;

    void raise(Vector& vector, std::uint8_t isr_bit) noexcept;
    static bool signal(const Vector& vector) noexcept;
    void pass_on_isr() noexcept;
    void follow_msix() noexcept;
    void drive_intx() noexcept;
    void follow_bus_master() noexcept;
    void place_doorbells() noexcept;
    void place_doorbell(std::size_t queue) noexcept;
    std::optional<DoorbellAddress> doorbell_of(std::size_t queue) const noexcept;
    std::optional<std::uint64_t>& place_of(unsigned bar) noexcept {
        return bar == kPortBar ? ports_at_ : bar_at_;
    }

    Parts parts_;
    pci::Function function_;
    std::unique_ptr<Region> region_;
    std::unique_ptr<Ports> ports_;                // null: none
    std::unique_ptr<pci::MemoryBar> shared_bar_;  // null: no shared memory
    std::unique_ptr<pci::Msix> msix_;
    unsigned window_ = 0;  // offset of the PCI_CFG capability
    std::uint64_t pending_at_ = 0;
    std::uint64_t bar_size_ = 0;
    std::uint64_t shared_size_ = 0;
    bool bus_master_ = false;  // as the guest last left it
    bool msix_on_ = false;     // the same

    Vector config_vector_;
    std::vector<Vector> queue_vectors_;

    RankedMutex<LockRank::VirtioInterrupt> isr_lock_;  // over isr_ and the pin; a leaf
    std::uint8_t isr_ = 0;

    /// Over what follows. Taken without the function's lock, which is taken inside for an instant.
    RankedMutex<LockRank::Doorbells> doorbell_lock_;
    std::optional<std::uint64_t> bar_at_;
    std::optional<std::uint64_t> ports_at_;
    std::vector<std::optional<DoorbellAddress>> doorbells_;  // by queue: where it is connected
    std::vector<bool> running_;  // by queue, as copied from the registers
    bool reported_ = false;
    std::atomic<bool> doorbells_stale_{false};

    std::unique_ptr<virtio::Registers> registers_;  // last: goes first, and waits for the device
};

}  // namespace vmm::virtio_pci
