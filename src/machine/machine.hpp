// SPDX-License-Identifier: Apache-2.0
// One virtual machine of any architecture: RAM, hypervisor, buses, vCPUs, devices and consoles, put
// together from a configuration, and what can be done with them.
//
// What an architecture adds comes from a Platform; the loop around a machine is a Session's.
// Members stand in the order in which they come up. Threads: the machine's main thread calls
// everything.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/char/char_backend.hpp"
#include "bus/bus.hpp"
#include "config/vm_config.hpp"
#include "machine/command.hpp"
#include "machine/consoles.hpp"
#include "machine/devices/device_set.hpp"
#include "machine/lifecycle.hpp"
#include "machine/platform.hpp"
#include "machine/vcpu_set.hpp"
#include "memory/guest_ram.hpp"
#include "vmm/error.hpp"
#include "vmm/thread_desk.hpp"

namespace vmm::machine {

/// All but the platform outlive the machine.
struct MachineParts {
    const VmConfig& config;
    boost::asio::io_context& loop;  ///< host events; run by the main thread
    Events& events;
    Commands& commands;  ///< for the keys on the terminal
    const Tell& tell;
    std::unique_ptr<Platform> platform;
    /// The machine has a hot-plug controller: the guest hears of devices that come, and can be
    /// asked for those that shall go. A guest looks at all slots for that when it starts.
    bool hotplug = false;
};

class Machine final : private CharBackendEvents, private PciHotplugEvents {
public:
    static Result<std::unique_ptr<Machine>> create(MachineParts parts);
    ~Machine() override;
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    Result<> start();  ///< the vCPUs run from here on

    /// Parks the vCPUs, and asks the devices to leave the guest's RAM alone.
    void pause();
    /// Names of those that have not come to that yet. Ask again when ended_fd() is readable.
    std::vector<std::string> devices_not_quiet() const;
    void resume();

    void stop();  ///< ends and joins the vCPU threads

    // A reset in steps, none of which waits for the host's side of a device: begin, wait until no
    // device is busy, finish.

    void begin_reset();       ///< parks the vCPUs, asks the devices to stop
    Result<> finish_reset();  ///< power-on state, payload loaded again, vCPUs running
    /// Names of devices that still work at what the guest asked for, after it has stopped.
    std::vector<std::string> busy_devices() const;
    /// Readable when a device has come to an end or can be removed.
    int ended_fd() const noexcept;
    void device_ended();  ///< drains that, and goes on with removals

    /// Asks the devices to stop and waits for them. After stop(). Names of those that have not
    /// stopped by then, or whose size is still being asked for: destroying the machine would wait.
    std::vector<std::string> stop_devices(std::chrono::milliseconds at_most);

    // Devices that come and go, while vCPUs run or are parked; not during a reset.

    Result<> add_device(NewDevice device);
    /// Where the guest finds it.
    std::optional<pci::Address> find_device(std::string_view id) const noexcept;
    /// The answer may come from device_ended().
    void remove_device(std::string_view id, Removal how, Answer answer);

    void press_power_button();
    void look_at_disks(Answer answer);  ///< they may have other sizes now; in any state

    /// Brings output that is still on its way to the host's side; says what was lost. After stop().
    std::vector<std::string> drain(std::chrono::milliseconds at_most);

    /// The kernel's last panic line that went over a console since the last reset; empty if none.
    std::string last_panic() const;

private:
    explicit Machine(MachineParts parts);

    // The steps of create(), in this order.
    Result<> map_ram();
    Result<> create_vm();
    Result<> add_platform_devices();
    Result<> add_pci_devices();
    Result<> create_vcpus();
    Result<> put_devices_on_bus();
    PlatformParts platform_parts();
    std::uint64_t ports_for_kicks() const;
    void await_orders();

    void quit_requested() noexcept override;
    void disk_sizes_requested() noexcept override;
    void terminal_resized(TerminalSize size) noexcept override;
    void slot_ejected() noexcept override;

    const VmConfig& config_;
    boost::asio::io_context& loop_;
    Events& events_;
    Commands& commands_;
    const bool hotplug_;

    std::unique_ptr<ThreadDesk> desk_;  // null: there is no PCI; outlives those who order
    boost::asio::posix::stream_descriptor orders_{loop_};
    std::unique_ptr<GuestRam> ram_;
    Bus ports_;
    Bus mmio_;
    Consoles consoles_;
    std::unique_ptr<Platform> platform_;
    hv::Vm* vm_ = nullptr;  // the platform's
    std::unique_ptr<DeviceSet> pci_;
    std::vector<hv::Vcpu*> vcpus_;                  // the platform's
    std::vector<std::vector<unsigned>> host_cpus_;  // by vCPU, that it is pinned to
    VcpuSet vcpu_set_;
};

}  // namespace vmm::machine
