// SPDX-License-Identifier: Apache-2.0
// virtio-console: a console, and named ports beside it.
//
// Spec: virtio 1.3, 5.3. A device with one console and no name for it is the plain one, without
// control queues: its driver has output from the first moment, and its size in configuration space.
// Otherwise MULTIPORT is offered; a driver that does not take it has port 0 alone.
// Left out: ports that come and go, a host's side that closes a port.
// Costs: no allocation and no buffer of our own; see port.hpp.
//
// Threads: Device's functions come from the register side. Queues are shared by the I/O thread
// (what the driver does) and the machine's loop (what the host does), under lock(). Whoever has the
// lock never asks for the register side's; the register side asks for it to write a byte in an
// emergency, and nobody keeps it for longer than one turn of 64 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "virtio/device.hpp"
#include "virtio/worker_device.hpp"
#include "virtio_console/control.hpp"
#include "virtio_console/port.hpp"
#include "virtio_console/wire.hpp"
#include "vmm/byte_channel.hpp"
#include "vmm/error.hpp"
#include "vmm/mutex.hpp"

namespace vmm::virtio_console {

struct ConsoleOptions {
    std::string name = "console";        ///< for log records; the thread is io-NAME
    std::vector<PortOptions> ports;      ///< at least one, at most kMaxPorts
    std::uint16_t queue_size = 64;       ///< a power of two up to virtio::Queue::kMaxSize
    virtio::Stepper* stepper = nullptr;  ///< of a test
};

class Console final : public virtio::WorkerDevice {
public:
    static Result<std::unique_ptr<Console>> create(ConsoleOptions options);
    ~Console() override;

    /// For the host's side, which calls with lock() held.
    ByteChannelUser& port(std::size_t index) { return ports_.at(index); }
    Mutex& lock() noexcept { return lock_; }

    /// The terminal behind a console port has another size. Any thread that holds no lock.
    void set_size(std::size_t port, std::uint16_t columns, std::uint16_t rows) noexcept;

    /// For the end of the machine, when no vCPU runs any more: whether a port's driver has output
    /// that did not go out yet; and an end to it, which gives how many bytes were lost. Any thread.
    bool has_output(std::size_t port) noexcept;
    std::uint64_t drop_output(std::size_t port) noexcept;

    virtio::DeviceType type() const noexcept override { return virtio::DeviceType::Console; }
    virtio::Features features() const noexcept override { return offered_; }
    std::span<const std::uint16_t> queue_sizes() const noexcept override { return sizes_; }
    std::uint32_t config_size() const noexcept override { return sizeof(ConfigSpace); }
    bool accepts(virtio::Features) const noexcept override { return true; }
    void read_config(std::uint32_t offset, std::span<std::byte> to) noexcept override;
    void write_config(std::uint32_t offset, std::span<const std::byte> from) noexcept override;

private:
    explicit Console(ConsoleOptions& options);

    void make_ports(std::vector<PortOptions> ports);

    // Worker::Handler
    void started(virtio::Features features, std::span<virtio::Queue> queues) noexcept override;
    void kicked(virtio::Queue& queue) noexcept override;
    void ready(std::uint32_t, std::uint32_t) noexcept override {}  // nothing else is watched
    void stop(virtio::Queue& queue) noexcept override;
    void stopped() noexcept override;
    bool quiesce() noexcept override;
    void resumed() noexcept override;

    void set_paused(bool paused) noexcept;
    bool is_control(const virtio::Queue& queue) const noexcept;
    Port& port_of(const virtio::Queue& queue) noexcept;

    virtio::Features offered_ = 0;
    std::vector<std::uint16_t> sizes_;
    Size size_;  // of port 0; the register side's

    RankedMutex<LockRank::ConsolePorts> lock_;  // over what follows
    std::unique_ptr<virtio::Chain> chain_;
    std::deque<Port> ports_;
    std::unique_ptr<Control> control_;
    bool multiport_ = false;  // negotiated
};

}  // namespace vmm::virtio_console
