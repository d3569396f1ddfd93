// SPDX-License-Identifier: Apache-2.0
// What an architecture adds to a machine: where things lie, which interrupt pins there are, the
// tables that describe all of it, and how a payload is entered.
//
// src/machine/x86_64 has the PC. A platform is made with its hypervisor; Machine then calls the
// steps of a start in the order in which they stand here, each once, and load() and reset() for as
// long as it runs. Threads: the machine's main thread, where nothing else is said.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bus/bus.hpp"
#include "config/vm_config.hpp"
#include "machine/devices/guest_hotplug.hpp"
#include "machine/lifecycle.hpp"
#include "memory/guest_ram.hpp"
#include "pci/host_bridge.hpp"
#include "pci_hotplug/pci_hotplug.hpp"
#include "vmm/byte_channel.hpp"
#include "vmm/error.hpp"
#include "vmm/gpa.hpp"
#include "vmm/hv.hpp"
#include "vmm/io_device.hpp"
#include "vmm/mutex.hpp"

namespace vmm::machine {

/// Which interrupt each of the PCI bus's four lines is.
using PciLines = std::array<hv::Gsi, pci::kPins>;

/// What a platform's own devices are joined with. All of it outlives them.
struct PlatformParts {
    Bus& ports;  ///< x86 I/O ports; empty elsewhere
    Bus& mmio;
    Events& events;
    ByteSink* serial = nullptr;           ///< behind the serial port; null: there is none
    PciHotplugEvents* hotplug = nullptr;  ///< null: there is no hot-plug controller
};

/// The platform's serial port, as the host's side of it has it.
struct SerialPort {
    ByteChannelUser* user = nullptr;
    Mutex* lock = nullptr;  ///< around each call of `user`
    std::function<bool()> has_output;
    std::function<std::uint64_t()> drop_output;
};

/// Of a UART of devices/.
template <class Uart>
SerialPort serial_port_of(Uart& uart) {
    return SerialPort{.user = &uart,
                      .lock = &uart.lock(),
                      .has_output = [&uart] { return uart.has_output(); },
                      .drop_output = [&uart] { return uart.drop_output(); }};
}

/// A kernel file from this size on is worth huge pages under it; a bare-metal payload is not.
inline constexpr std::uint64_t kLargePayload = 4ULL << 20;

class Platform {
public:
    virtual ~Platform() = default;

    /// Where so many bytes of RAM lie, ascending.
    virtual std::vector<GpaRange> ram_ranges(std::uint64_t bytes) const = 0;
    /// The machine of the hypervisor: without RAM, interrupts and vCPUs. It lives as long as this.
    virtual Result<hv::Vm*> create_vm() = 0;
    /// RAM is there.
    virtual Result<> create_interrupt_controller(Bus& mmio) = 0;
    /// Serial port, clock, power button and what else a board has soldered on.
    virtual Result<> add_devices(const PlatformParts& parts) = 0;
    /// Those of add_devices(), in the order in which a reset goes through them.
    virtual std::span<Resettable* const> resettables() const = 0;
    virtual std::optional<SerialPort> serial() = 0;
    /// Null: the guest hears of no PCI device that comes or goes.
    virtual GuestHotplug* hotplug() = 0;

    virtual PciLines pci_lines() const = 0;
    virtual std::uint64_t pci_port_window() const = 0;  ///< of I/O ports for BARs; bytes

    /// They live as long as this.
    virtual Result<std::vector<hv::Vcpu*>> create_vcpus() = 0;
    /// Where BARs go. After create_vcpus().
    virtual pci::Windows pci_windows(const GuestRam& ram) const = 0;
    /// Puts the bus's configuration space where the guest looks for it. After create_vcpus().
    virtual Result<> connect(pci::HostBridge& bridge, const PlatformParts& parts) = 0;

    /// Clears RAM, writes payload and tables, and puts the first vCPU at the payload's entry. At
    /// each start and after each reset().
    virtual Result<> load(GuestRam& ram) = 0;
    /// In the vCPU's own thread, before it runs the first time: what the other vCPUs, or the first
    /// one's start, need not wait for. That of the first vCPU runs while load() does.
    virtual Result<> prepare_vcpu(unsigned index) = 0;
    /// Hypervisor and vCPUs as after power-on. No vCPU runs.
    virtual Result<> reset() = 0;

    virtual void press_power_button() = 0;
};

/// This host's architecture, on its hypervisor. `config` outlives it.
Result<std::unique_ptr<Platform>> make_platform(const VmConfig& config);

}  // namespace vmm::machine
