// SPDX-License-Identifier: Apache-2.0
// virtio-rng: an entropy device.
//
// Spec: virtio 1.3, 5.4. One queue, served by an I/O thread of its own: a slow source holds up
// nothing else. Requests are completed in order.
// Costs: no allocation and no copy per request; the thread starts with the driver.
//
// Threads: Device's functions come from the register side; everything else runs on the I/O thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "virtio/device.hpp"
#include "virtio/worker_device.hpp"
#include "vmm/entropy_source.hpp"
#include "vmm/error.hpp"
#include "vmm/stateful.hpp"

namespace vmm::virtio_rng {

struct RngOptions {
    std::string name = "rng";            ///< the thread is io-NAME
    std::uint16_t queue_size = 64;       ///< a power of two up to virtio::Queue::kMaxSize
    virtio::Stepper* stepper = nullptr;  ///< of a test
};

class Rng final : public virtio::WorkerDevice, public Stateful {
public:
    /// `source` is asked by the I/O thread only, for 64 KiB at a time at most, and outlives this.
    static Result<std::unique_ptr<Rng>> create(const RngOptions& options, EntropySource& source);
    ~Rng() override;

    virtio::DeviceType type() const noexcept override { return virtio::DeviceType::Rng; }
    virtio::Features features() const noexcept override { return virtio::f::kInOrder; }
    std::span<const std::uint16_t> queue_sizes() const noexcept override { return sizes_; }
    std::uint32_t config_size() const noexcept override { return 0; }
    bool accepts(virtio::Features) const noexcept override { return true; }
    void read_config(std::uint32_t, std::span<std::byte>) noexcept override {}
    void write_config(std::uint32_t, std::span<const std::byte>) noexcept override {}

    /// A section without fields: all that a driver knows of it is in the transport.
    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;

private:
    Rng(const RngOptions& options, EntropySource& source);

    // Worker::Handler
    void started(virtio::Features, std::span<virtio::Queue>) noexcept override {}
    void kicked(virtio::Queue& queue) noexcept override;
    void ready(std::uint32_t, std::uint32_t) noexcept override {}
    bool waits_for_kicks_only() const noexcept override { return true; }
    void stop(virtio::Queue&) noexcept override {}
    void stopped() noexcept override {}
    bool quiesce() noexcept override { return true; }
    void resumed() noexcept override {}

    bool serve_batch(virtio::Queue& queue) noexcept;

    EntropySource& source_;
    std::array<std::uint16_t, 1> sizes_;
    std::unique_ptr<virtio::Chain> chain_;  // what was popped last; the I/O thread's
};

}  // namespace vmm::virtio_rng
