// SPDX-License-Identifier: Apache-2.0
// The PCI devices of a machine, on one bus. They can come and go while the guest runs.
//
// No architecture is known here: where windows lie and how INTx is wired comes from the platform.
// Threads: the machine's main thread; the devices have I/O threads of their own.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "config/vm_config.hpp"
#include "machine/command.hpp"
#include "machine/devices/device.hpp"
#include "machine/devices/guest_hotplug.hpp"
#include "machine/disk_sizes.hpp"
#include "machine/platform.hpp"
#include "machine/vcpu_set.hpp"
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
#include "vmm/memory_layout.hpp"

namespace vmm::machine {

struct DeviceSetParts {
    const VmConfig& config;
    boost::asio::io_context& loop;
    GuestMemory& memory;
    MemoryLayout& layout;
    hv::Vm& vm;
    IoBus& mmio;
    IoBus& io;
    std::uint64_t notify_ports = 0;  ///< I/O ports that kicks may have
    PciLines lines;
    GuestEvents& events;
    ByteSink* console = nullptr;           ///< where hvc0 prints; null: there is none
    std::vector<ByteSink*> console_ports;  ///< where each of the configuration's prints
    VcpuSet& vcpus;                        ///< may come up later than this, and end before it
    GuestHotplug* hotplug = nullptr;       ///< null: the guest hears nothing and is not asked
};

class DeviceSet final {
public:
    /// Everything in `parts` outlives this. They are on no bus yet: where its windows lie the
    /// platform may find out later.
    static Result<std::unique_ptr<DeviceSet>> create(const DeviceSetParts& parts);
    Result<> make_host_bridge(const pci::Windows& windows);

    /// As virtio::Device::prepare(), for all of them.
    void prepare() noexcept;

    pci::HostBridge& host_bridge() noexcept { return *host_bridge_; }
    /// They may have other sizes now. In any state of the machine; does not wait for the host.
    void look_at_disks(Answer answer);
    virtio_console::Console* console() const noexcept;  ///< null: there is none
    /// The device with the configured ports, in their order; null: there are none.
    virtio_console::Console* console_ports() const noexcept;

    // While vCPUs run, or are parked.

    /// The device gets its slot, or one that is free, and moves no other one. Refused if its id or
    /// its slot is taken.
    Result<> add(NewDevice device);
    /// Where the guest finds it; none if the guest does not.
    std::optional<pci::Address> find(std::string_view id) const noexcept;
    /// Does not wait: what is under way goes on in step(). Nobody can be asked to let go of a
    /// console, and a device whose slot others share goes after them.
    void remove(std::string_view id, Removal how, Answer answer);
    /// Goes on with removals: when released() is readable, and after a reset.
    void step();

    // A reset, which can take as long as the host's side of a device does: ask, wait until none is
    // busy, finish. No vCPU runs meanwhile.

    void ask_reset();
    /// Names of the devices that still work at what their driver asked for.
    std::vector<std::string> busy() const;
    /// Readable when one of them has come to an end, and when step() has something to do; whoever
    /// has something for step() signals it, from any thread. Whoever waits drains it.
    const EventFd& released() const noexcept { return released_; }
    /// None is busy.
    void finish_reset() noexcept;

    // A pause, in the same way. A reset ends it.

    void ask_pause() noexcept;
    /// Names of the devices that may still change guest RAM.
    std::vector<std::string> not_quiet() const;
    void resume() noexcept;

    /// A reset that is not finished, after which nobody looks at disks.
    void ask_end();
    /// As busy(), those that are being freed, and the disk whose host has not said its size yet.
    std::vector<std::string> busy_at_end() const;

private:
    /// What a removal has come to.
    enum class Stage : std::uint8_t {
        Working,   ///< nobody wants it away
        Asked,     ///< the guest has it, and was asked to let it go
        Leaving,   ///< the guest no longer finds it; a vCPU may still be inside of it
        Draining,  ///< nobody is inside of it; its queues are its I/O thread's
        Freeing,   ///< nothing of it is at work; `device` is the freeing thread's
    };
    struct Member {
        std::string id;
        std::unique_ptr<PciDevice> device;
        DeviceFace face;
        std::optional<std::uint8_t> slot;  // that it shall have
        pci::Address where;
        Stage stage = Stage::Working;
        std::uint64_t grace_period = 0;
        std::vector<Answer> answers;                       // of those who want it away
        std::unique_ptr<boost::asio::steady_timer> limit;  // of their patience

        std::atomic<bool> freed = false;
        std::jthread freeing;  // last: it is waited for before anything else of this goes

        bool is_plugged() const noexcept { return stage <= Stage::Asked; }
        /// It may use what the guest gave it.
        bool is_alive() const noexcept { return stage < Stage::Freeing; }
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
    Result<> may_go(const Member& member, Removal how) const;
    bool shares_slot(const Member& member) const;
    pci::SlotSet slots_asked_for() const noexcept;
    void unplug(const std::shared_ptr<Member>& member);
    void limit_wait(const std::shared_ptr<Member>& member);
    void give_up_waiting(Member& member);
    std::vector<std::string> names_of(bool (*which)(const Member&)) const;
    bool is_idle(const Member& member) const;
    void free(Member& member);
    bool has_gone(Member& member);
    static void answer_all(Member& member, const Result<>& done);
    virtio_console::Console* console_of(std::string_view id) const noexcept;

    DeviceSetParts parts_;
    EventFd released_;
    NotifyPorts notify_ports_;
    DeviceParts device_parts_;
    std::array<std::unique_ptr<IrqLine>, pci::kPins> lines_;
    std::vector<std::shared_ptr<Member>> members_;  // timers have weak ones
    std::unique_ptr<DiskSizes> sizes_;              // from the first look on; goes before them
    std::unique_ptr<pci::HostBridge> host_bridge_;  // last: it points to all functions
};

}  // namespace vmm::machine
