// SPDX-License-Identifier: Apache-2.0
// A device on the PCI bus as the machine sees it, whatever its kind: how one is made, and what the
// set of devices does with it.
//
// Each kind has a file of its own here, which goes from the configuration to the host's side, from
// there to the device's body, and from that to a PCI function. devices/kinds.hpp lists them.
// Threads: the machine's main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/vm_config.hpp"
#include "pci/endpoint.hpp"
#include "virtio/device.hpp"
#include "virtio_blk/virtio_blk.hpp"
#include "virtio_console/console.hpp"
#include "vmm/byte_channel.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/guest_events.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/hv.hpp"

namespace vmm::machine {

class PciDevice {
public:
    virtual ~PciDevice() = default;

    virtual pci::Endpoint& endpoint() noexcept = 0;
    /// As virtio::Device::prepare().
    virtual void prepare() noexcept {}

    // A reset in steps, none of which waits for the host: ask, wait until it has released its
    // queues, finish. No vCPU is inside the device meanwhile.

    virtual void ask_reset() noexcept = 0;
    virtual bool released() noexcept = 0;
    virtual void finish_reset() noexcept = 0;

    // A pause, likewise. A reset ends it.

    virtual void ask_pause() noexcept = 0;
    virtual bool quiet() noexcept = 0;  ///< it changes no byte of guest RAM
    virtual void resume() noexcept = 0;
};

/// One without queues, which never touches RAM: there is nothing to wait for.
class QueuelessDevice : public PciDevice {
public:
    void ask_reset() noexcept override {}
    bool released() noexcept override { return true; }
    void finish_reset() noexcept override {}
    void ask_pause() noexcept override {}
    bool quiet() noexcept override { return true; }
    void resume() noexcept override {}
};

/// I/O ports for the kicks of virtio devices, of which there are only so many.
class NotifyPorts {
public:
    explicit NotifyPorts(std::uint64_t available) : available_{available} {}
    /// False: they do not suffice.
    bool take(std::uint64_t ports) noexcept;
    void give_back(std::uint64_t ports) noexcept { available_ += ports; }

private:
    std::uint64_t available_;
};

/// What the machine gives its devices. All of it outlives them.
struct DeviceParts {
    GuestMemory& memory;
    hv::Vm& vm;
    GuestEvents& events;
    NotifyPorts& notify_ports;
    const EventFd& released;               ///< signalled when a device has released its queues, or
                                           ///< leaves them alone for a pause
    ByteSink* console = nullptr;           ///< where hvc0 prints; null: there is no console
    std::vector<ByteSink*> console_ports;  ///< where each of the configuration's prints
};

/// What others in the machine know a device as.
using DeviceFace = std::variant<std::monostate, virtio_blk::Blk*, virtio_console::Console*>;

struct MadeDevice {
    std::unique_ptr<PciDevice> device;
    DeviceFace face;
};

/// A device that is to be made. Its configuration outlives the call that makes it.
struct NewDevice {
    std::string id;
    std::move_only_function<Result<MadeDevice>(const std::string& id, const DeviceParts&)> make;
    std::optional<std::uint8_t> slot = std::nullopt;  ///< on the PCI bus; not given: a free one
};

/// A kind of device that a configuration may have.
struct DeviceKind {
    std::string_view key;  ///< in the configuration
    /// Those of the configuration, in its order. It outlives what comes back.
    std::vector<NewDevice> (*configured)(const VmConfig& config);
};

/// `backend` is what the body uses on the host, if that is not the body's own; it goes after it.
Result<std::unique_ptr<PciDevice>> make_virtio_device(std::unique_ptr<virtio::Device> body,
                                                      bool packed, const DeviceParts& parts,
                                                      std::shared_ptr<void> backend = {});

}  // namespace vmm::machine
