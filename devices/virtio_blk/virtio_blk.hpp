// SPDX-License-Identifier: Apache-2.0
// virtio-blk: a disk.
//
// Spec: virtio 1.3, 5.2. One I/O thread serves all queues; the backend does the waiting, so that
// many requests of all queues are outstanding. Requests are completed in any order.
// Legacy commands (SCSI, geometry, barrier), secure erase and zoned disks are left out.
// What is outstanding is bounded in bytes as well as in number: chains beyond that stay in the
// ring, where a reset finds them without waiting. A reset cancels the rest, and nothing of what was
// cancelled reaches the driver any more.
// Costs: a place for each request a queue can hold is made beforehand; a request allocates nothing
// and its data is not copied.
//
// Threads: Device's functions come from the register side; resized() from any thread that holds no
// device's lock; everything else runs on the I/O thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "virtio/device.hpp"
#include "virtio/worker_device.hpp"
#include "virtio_blk/request.hpp"
#include "vmm/block_backend.hpp"
#include "vmm/error.hpp"

namespace vmm::virtio_blk {

inline constexpr std::uint32_t kMaxQueues = 256;
inline constexpr std::uint32_t kMaxOutstanding = 1 << 16;  ///< what one io_uring can have

struct BlkOptions {
    std::string name = "disk";  ///< for log records; the thread is io-NAME
    std::string serial;         ///< what the guest reads as serial number; at most 20 bytes
    std::uint32_t queues = 1;
    std::uint32_t queue_size = 128;      ///< a power of two
    virtio::Stepper* stepper = nullptr;  ///< takes the thread's steps in its place
};

class Blk final : public virtio::WorkerDevice {
public:
    /// Whether the disk can be written to is the backend's word.
    static Result<std::unique_ptr<Blk>> create(BlkOptions options,
                                               std::unique_ptr<BlockBackend> backend);
    ~Blk() override;

    /// The medium may have another size now: looks, and tells the log and the driver if so. One
    /// call at a time.
    Result<> resized();

    virtio::DeviceType type() const noexcept override { return virtio::DeviceType::Block; }
    virtio::Features features() const noexcept override;
    std::span<const std::uint16_t> queue_sizes() const noexcept override { return sizes_; }
    std::uint32_t config_size() const noexcept override;
    bool accepts(virtio::Features) const noexcept override { return true; }
    void negotiated(virtio::Features features) noexcept override;
    void read_config(std::uint32_t offset, std::span<std::byte> to) noexcept override;
    void write_config(std::uint32_t offset, std::span<const std::byte> from) noexcept override;
    void prepare() noexcept override { io_->prepare(); }
    void reset() noexcept override;

private:
    class Lane;
    struct Slot;

    Blk(BlkOptions options, std::unique_ptr<BlockBackend> backend);

    // Worker::Handler
    void started(virtio::Features features, std::span<virtio::Queue> queues) noexcept override;
    void kicked(virtio::Queue& queue) noexcept override;
    void ready(std::uint32_t source, std::uint32_t events) noexcept override;
    bool waits_for_kicks_only() const noexcept override { return under_way_ == 0; }
    void stop(virtio::Queue& queue) noexcept override;
    void stopped() noexcept override;
    bool quiesce() noexcept override;
    void resumed() noexcept override {}

    bool others_want_us(unsigned turns) const noexcept;
    bool take_batch(virtio::Queue& queue, Lane& lane) noexcept;
    void take(virtio::Queue& queue, Lane& lane, const Limits& limits) noexcept;
    std::uint32_t give_id(const Reply& reply, GuestMemory& memory) noexcept;
    void collect() noexcept;
    void finish(Slot& slot) noexcept;
    void cancel(Lane& lane) noexcept;
    void serve(virtio::Queue& queue, Lane& lane) noexcept;
    void hold(Lane& lane) noexcept;
    bool let_go(Lane& lane) noexcept;
    void resume_lanes() noexcept;
    void rest() noexcept;
    void come_back() noexcept;
    Limits limits() const noexcept;
    void complain(const Slot& slot) noexcept;

    BlkOptions options_;
    std::unique_ptr<BlockBackend> backend_;
    std::vector<std::uint16_t> sizes_;
    std::uint64_t bytes_ = 0;  // of the medium when it was last looked at; resized()'s
    std::atomic<std::uint64_t> sectors_{0};
    std::atomic<bool> write_back_{true};  // config field `writeback`

    // The I/O thread's.
    virtio::Features features_ = 0;
    std::span<virtio::Queue> queues_;
    std::unique_ptr<BlockQueue> io_;
    std::vector<Lane> lanes_;            // by queue
    std::uint32_t under_way_ = 0;        // in all lanes
    std::uint64_t bytes_under_way_ = 0;  // that these move
    unsigned held_lanes_ = 0;
    std::size_t first_to_resume_ = 0;       // lane; they take turns
    std::unique_ptr<virtio::Chain> chain_;  // what was popped last
    std::array<bool, 5> complained_{};      // by kind of request
};

}  // namespace vmm::virtio_blk
