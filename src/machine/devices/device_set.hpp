// SPDX-License-Identifier: Apache-2.0
// The PCI devices of a machine, on one bus.
//
// No architecture is known here: where windows lie and how INTx is wired comes from the platform.
// Threads: the machine's main thread; the devices have I/O threads of their own.
#pragma once

#include <boost/asio/io_context.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/vm_config.hpp"
#include "machine/command.hpp"
#include "machine/devices/device.hpp"
#include "machine/disk_sizes.hpp"
#include "machine/platform.hpp"
#include "pci/host_bridge.hpp"
#include "virtio_console/console.hpp"
#include "vmm/byte_channel.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/guest_events.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/hv.hpp"
#include "vmm/io_bus.hpp"
#include "vmm/irq_line.hpp"

namespace vmm::machine {

struct DeviceSetParts {
    const VmConfig& config;
    boost::asio::io_context& loop;
    GuestMemory& memory;
    hv::Vm& vm;
    IoBus& mmio;
    IoBus& io;
    std::uint64_t notify_ports = 0;  ///< I/O ports that kicks may have
    PciLines lines;
    GuestEvents& events;
    ByteSink* console = nullptr;             ///< where hvc0 prints; null: there is none
    std::vector<ByteSink*> console_ports{};  ///< where each of the configuration's prints
};

class DeviceSet final {
public:
    /// Whether the configuration has any: without them there is no PCI.
    static bool wanted(const VmConfig& config);

    /// Everything in `parts` outlives this. They are on no bus yet: where its windows lie the
    /// platform may find out later.
    static Result<std::unique_ptr<DeviceSet>> create(const DeviceSetParts& parts);
    Result<> make_host_bridge(const pci::Windows& windows);

    pci::HostBridge& host_bridge() noexcept { return *host_bridge_; }
    /// They may have other sizes now. In any state of the machine; does not wait for the host.
    void look_at_disks(Answer answer);
    virtio_console::Console* console() const noexcept;  ///< null: there is none
    /// The device with the configured ports, in their order; null: there are none.
    virtio_console::Console* console_ports() const noexcept;

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
    struct Member {
        std::string id;
        std::unique_ptr<PciDevice> device;
        DeviceFace face;
    };

    DeviceSet(const DeviceSetParts& parts, EventFd released)
        : parts_{parts},
          released_{std::move(released)},
          notify_ports_{parts.notify_ports},
          device_parts_{.memory = parts.memory,
                        .vm = parts.vm,
                        .events = parts.events,
                        .notify_ports = notify_ports_,
                        .released = released_,
                        .console = parts.console,
                        .console_ports = parts.console_ports} {}

    Result<> make(NewDevice wanted);
    virtio_console::Console* console_of(std::string_view id) const noexcept;

    DeviceSetParts parts_;
    EventFd released_;
    NotifyPorts notify_ports_;
    DeviceParts device_parts_;
    std::array<std::unique_ptr<IrqLine>, pci::kPins> lines_;
    std::vector<Member> members_;                   // in the order of their places on the bus
    std::unique_ptr<DiskSizes> sizes_;              // from the first look on; goes before them
    std::unique_ptr<pci::HostBridge> host_bridge_;  // last: it points to all functions
};

}  // namespace vmm::machine
