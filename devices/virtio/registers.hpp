// SPDX-License-Identifier: Apache-2.0
// The registers of a virtio device and the rules by which a driver may use them, for any transport.
//
// Spec: virtio 1.3, 2.1 (status), 2.2 (features), 2.4 (reset), 2.6.1 (queue reset), 3.1
// (initialisation). This is the one place where queue configuration is accepted or refused: it is
// frozen from queue_enable on, and all of it from DRIVER_OK (but for queues that were reset) and
// from FAILED on.
// A reset clears the registers at once; the status reads non-zero until the I/O threads have let go
// of the queues. A driver that does not wait for that goes on as if it had: what it writes counts,
// and the device starts when the last driver's requests are at their end.
//
// Threads: the register side, with Transport::lock() held, unless a function says otherwise. What
// Link offers the body may come from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "virtio/device.hpp"
#include "virtio/features.hpp"
#include "virtio/queue.hpp"
#include "vmm/error.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/mutex.hpp"
#include "vmm/stateful.hpp"

namespace vmm::virtio {

/// How interrupts leave, and the lock of the registers.
class Transport {
public:
    virtual ~Transport() = default;
    /// Leaf calls, any thread.
    virtual void used_buffers(std::uint16_t queue) noexcept = 0;
    virtual void config_changed() noexcept = 0;
    /// A reset: what the transport keeps for the driver goes back to its first value. lock() is
    /// held.
    virtual void registers_cleared() noexcept = 0;
    /// The I/O threads have let go of the last driver's queues: what they raised since the reset is
    /// not for the next one. lock() is held, by any thread.
    virtual void queues_released() noexcept = 0;
    /// The device has said that it is paused. A leaf call, any thread.
    virtual void device_paused() noexcept = 0;
    virtual Mutex& lock() noexcept = 0;
};

struct CommonOptions {
    bool packed = true;            ///< offer packed rings
    bool access_platform = false;  ///< insist on ACCESS_PLATFORM (confidential guests)
};

class Registers final : public Link, public Stateful, private QueueEvents {
public:
    /// All references outlive this object. Attaches to the device.
    static Result<std::unique_ptr<Registers>> create(Device& device, GuestMemory& memory,
                                                     Transport& transport, CommonOptions options);
    /// Resets the device and waits until it is done. lock() is not held.
    ~Registers() override;

    // The registers, under the names of the specification. A select that points nowhere reads 0
    // and writes nothing.

    void set_device_feature_select(std::uint32_t to) noexcept { device_feature_select_ = to; }
    std::uint32_t device_feature_select() const noexcept { return device_feature_select_; }
    std::uint32_t device_feature() const noexcept;
    void set_driver_feature_select(std::uint32_t to) noexcept { driver_feature_select_ = to; }
    std::uint32_t driver_feature_select() const noexcept { return driver_feature_select_; }
    std::uint32_t driver_feature() const noexcept;
    void set_driver_feature(std::uint32_t to) noexcept;

    std::uint16_t num_queues() const noexcept { return static_cast<std::uint16_t>(queues_.size()); }
    std::uint8_t device_status() const noexcept;
    void set_device_status(std::uint8_t to) noexcept;
    std::uint8_t config_generation() const noexcept { return generation_; }

    void set_queue_select(std::uint16_t to) noexcept { queue_select_ = to; }
    std::uint16_t queue_select() const noexcept { return queue_select_; }
    bool queue_selected() const noexcept { return queue_select_ < queues_.size(); }
    std::uint16_t queue_size() const noexcept;
    void set_queue_size(std::uint16_t to) noexcept;
    bool queue_enable() const noexcept;
    void set_queue_enable(std::uint16_t to) noexcept;
    bool queue_reset() const noexcept;
    void set_queue_reset(std::uint16_t to) noexcept;

    enum class Area : std::uint8_t { Descriptors, Driver, Device };
    enum class Half : std::uint8_t { Low, High };
    std::uint32_t queue_address(Area area, Half half) const noexcept;
    void set_queue_address(Area area, Half half, std::uint32_t to) noexcept;

    /// Device configuration space. Reads beyond its end give all ones, writes there nothing.
    void read_config(std::uint64_t offset, std::span<std::byte> to) noexcept;
    void write_config(std::uint64_t offset, std::span<const std::byte> from) noexcept;

    /// Completes what the I/O threads have answered of single queues since. Before each access.
    void settle() noexcept;
    /// The driver's leave to touch its memory is gone: what runs ends as by a reset.
    void halt() noexcept;

    // The transport's.

    /// A driver runs, and this queue with it.
    bool running(std::uint16_t queue) const noexcept;
    /// Any thread; a kick for a queue that does not run is of no effect.
    const Queue* queue(std::uint64_t index) const noexcept;
    /// What raises the queue's interrupt: Link::call_fd(). lock() is held.
    void set_call(std::uint16_t queue, int eventfd) noexcept;
    int call_fd(std::uint16_t queue) const noexcept override { return calls_[queue]; }
    /// Clears everything and asks the device to let go of its queues; released() says whether it
    /// has, Transport::queues_released() when. lock() is not held, no vCPU runs.
    void ask_reset() noexcept;
    /// No queue is an I/O thread's. lock() is not held.
    bool released() noexcept;
    /// The same, and waits for the device.
    void reset_and_wait() noexcept;

    // A pause of the machine. lock() is not held, no vCPU runs.

    /// Asks the device to leave guest RAM alone without a reset. quiet() says whether it does,
    /// Transport::device_paused() or queues_released() when. A reset that is asked for ends it.
    void ask_pause() noexcept;
    bool quiet() noexcept;
    /// Also before the device is quiet.
    void resume() noexcept;

    // Stateful. What the driver wrote, and how far each queue has come.

    /// The device is quiet.
    void save(StateWriter& to) override;
    /// No driver runs. One that did when this was saved does again, at once or from resume() on;
    /// guest RAM is restored before this: rings that are not there are a wrong state.
    Result<> restore(StateReader& from) override;
    /// The halves of restore(), for a transport whose own state is restored with this. The second
    /// one clears what the transport keeps for the driver. lock() is held from before the first
    /// until after start_if_ready().
    Result<ApplyState> read_state(StateReader& from);
    /// A driver has come as far as DRIVER_OK, the last one's queues are free, and the machine runs.
    void start_if_ready() noexcept;

private:
    enum class State : std::uint8_t {
        Idle,      ///< the queues are the register side's
        Active,    ///< the queues are the I/O threads'
        Draining,  ///< still theirs, reset() was asked for
    };
    struct QueueRegisters {
        RingConfig ring;
        bool enabled = false;
        bool resetting = false;              ///< stop_queue() was asked for
        bool was_reset = false;              ///< since DRIVER_OK: may be set up again
        std::optional<RingPosition> from{};  ///< where it starts; empty: at the beginning
    };
    /// What save() writes.
    struct Saved {
        std::uint8_t status = 0;
        bool needs_reset = false;
        std::uint8_t generation = 0;
        std::uint32_t device_feature_select = 0;
        std::uint32_t driver_feature_select = 0;
        Features driver_features = 0;
        std::uint16_t queue_select = 0;
        std::vector<QueueRegisters> queues;
    };

    Registers(Device& device, Transport& transport, CommonOptions options);
    Result<> make_queues(GuestMemory& memory);

    // Link.
    void take_needs_reset() noexcept override;
    void take_reset_done() noexcept override;
    void take_queue_stopped(std::uint16_t index) noexcept override;
    void take_paused() noexcept override;
    void take_used_buffers(std::uint16_t queue) noexcept override {
        transport_.used_buffers(queue);
    }
    // QueueEvents.
    void needs_reset() noexcept override { Link::needs_reset(); }
    void used_buffers(std::uint16_t queue) noexcept override { Link::used_buffers(queue); }
    Mutex& register_lock() noexcept override { return transport_.lock(); }
    void config_changed() noexcept override;

    bool packed() const noexcept { return (driver_features_ & f::kRingPacked) != 0; }
    bool acceptable(Features features) const noexcept;
    Saved read_registers(StateReader& from) const;
    QueueRegisters read_queue(StateReader& from, std::uint8_t status, const Queue& queue) const;
    void require_rings(StateReader& from, const Saved& saved) noexcept;
    void apply(Saved saved) noexcept;
    bool is_quiet() const noexcept;
    QueueRegisters* writable_queue() noexcept;
    const QueueRegisters* selected() const noexcept;
    Gpa& area_of(QueueRegisters& queue, Area area) const noexcept;
    void start() noexcept;
    void begin_reset() noexcept;
    void end_reset() noexcept;
    void clear() noexcept;
    void clear(std::size_t queue) noexcept;

    Device& device_;
    Transport& transport_;
    Features offered_ = 0;
    Features required_ = 0;

    State state_ = State::Idle;
    std::uint8_t status_ = 0;
    std::uint8_t last_status_ = 0;  // before the reset that is not at its end
    bool paused_ = false;           // the machine is; nothing starts
    unsigned pauses_ = 0;           // that the device was asked for since it was started
    std::uint8_t generation_ = 0;
    std::uint32_t device_feature_select_ = 0;
    std::uint32_t driver_feature_select_ = 0;
    Features driver_features_ = 0;
    std::uint16_t queue_select_ = 0;
    std::vector<QueueRegisters> registers_;
    std::vector<Queue> queues_;
    std::vector<int> calls_;  // by queue

    // What I/O threads tell.
    std::atomic<bool> driver_ok_{false};
    std::atomic<bool> needs_reset_{false};
    std::vector<std::atomic<bool>> stopped_;  // by queue
    std::atomic<unsigned> pauses_answered_{0};

    // The end of a reset.
    std::atomic<std::thread::id> in_reset_{};  // who is inside Device::reset()
    bool answered_at_once_ = false;            // that thread's
    ConditionVariable drained_;                // with the transport's lock
};

}  // namespace vmm::virtio
