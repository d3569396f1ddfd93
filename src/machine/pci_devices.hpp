// SPDX-License-Identifier: Apache-2.0
// The PCI devices of a machine: made from the configuration, joined with what the host gives them,
// put on one bus.
//
// No architecture is known here: where windows lie and how INTx is wired comes from the platform.
// Threads: the machine's main thread; the devices have I/O threads of their own.
#pragma once

#include <boost/asio/io_context.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/vm_config.hpp"
#include "machine/command.hpp"
#include "machine/disk_sizes.hpp"
#include "machine/host_entropy.hpp"
#include "machine/platform.hpp"
#include "pci/host_bridge.hpp"
#include "pvpanic/pvpanic.hpp"
#include "virtio/device.hpp"
#include "virtio_blk/virtio_blk.hpp"
#include "virtio_console/console.hpp"
#include "virtio_pci/transport.hpp"
#include "vmm/byte_channel.hpp"
#include "vmm/entropy_source.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/guest_events.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/hv.hpp"
#include "vmm/io_bus.hpp"
#include "vmm/irq_line.hpp"

namespace vmm::machine {

struct PciParts {
    const VmConfig& config;
    boost::asio::io_context& loop;
    GuestMemory& memory;
    hv::Vm& vm;
    IoBus& mmio;
    IoBus& io;
    std::uint64_t port_window = 0;  ///< of I/O ports for BARs; bytes
    PciLines lines;
    GuestEvents& events;
    ByteSink* console = nullptr;             ///< what is behind hvc0; null: there is none
    std::vector<ByteSink*> console_ports{};  ///< what is behind each of the configuration's
};

class PciDevices final {
public:
    /// Whether the configuration has any: without them there is no PCI.
    static bool wanted(const VmConfig& config);

    /// Everything in `parts` outlives this. They are on no bus yet: where its windows lie the
    /// platform may find out later.
    static Result<std::unique_ptr<PciDevices>> create(const PciParts& parts);
    Result<> make_host_bridge(const pci::Windows& windows);

    pci::HostBridge& host_bridge() noexcept { return *host_bridge_; }
    /// They may have other sizes now. In any state of the machine; does not wait for the host.
    void look_at_disks(Answer answer);
    virtio_console::Console* console() noexcept { return console_; }  ///< null: there is none
    /// The device with the configured ports, in their order; null: there are none.
    virtio_console::Console* console_ports() noexcept { return console_ports_; }

    // A reset, which can take as long as the host's side of a device does: ask, wait until none is
    // busy, finish. No vCPU runs meanwhile.

    void ask_reset() noexcept;
    /// Names of the devices that still work at what their driver asked for.
    std::vector<std::string> busy() const;
    /// Readable when one of them has come to an end. Whoever waits drains it.
    const EventFd& released() const noexcept { return released_; }
    /// None is busy.
    void finish_reset() noexcept;

    /// A reset that is not finished, after which nobody looks at disks.
    void ask_end() noexcept;
    /// As busy(), and the disk whose host has not said its size yet.
    std::vector<std::string> busy_at_end() const;

private:
    /// A virtio device and the function it is. The body goes last.
    struct Virtio {
        std::string name;
        std::unique_ptr<virtio::Device> body;
        std::unique_ptr<virtio_pci::Transport> transport;
    };

    PciDevices(const PciParts& parts, EventFd released)
        : parts_{parts}, released_{std::move(released)} {}

    Result<> add_pvpanic();
    Result<> add_disks();
    Result<> add_nets();
    Result<> add_rng();
    Result<> add_console();
    Result<> add_console_ports();
    Result<> add(std::string name, std::unique_ptr<virtio::Device> body, bool packed);

    PciParts parts_;
    EventFd released_;
    std::array<std::unique_ptr<IrqLine>, pci::kPins> lines_;
    std::optional<PvPanic> pvpanic_;
    HostEntropy host_entropy_;
    std::unique_ptr<EntropySource> entropy_file_;  // null: host_entropy_ alone
    std::uint64_t ports_used_ = 0;
    std::optional<pci::Function> pvpanic_function_;
    std::vector<Virtio> virtio_;
    std::vector<DiskSizes::Disk> disks_;          // some of them
    std::unique_ptr<DiskSizes> sizes_;            // from the first look on; goes before them
    virtio_console::Console* console_ = nullptr;  // one of them
    virtio_console::Console* console_ports_ = nullptr;
    std::vector<pci::Function*> functions_;         // in the order of their places on the bus
    std::unique_ptr<pci::HostBridge> host_bridge_;  // last: it points to all functions
};

}  // namespace vmm::machine
