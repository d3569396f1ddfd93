// SPDX-License-Identifier: Apache-2.0
// A virtio device without its transport: what a device body implements, and what it gets.
//
// Spec: virtio 1.3, chapter 2. The same body serves virtio-pci here and a vhost-user socket later.
//
// Who owns what: registers (features, configuration space) belong to the register side, which calls
// the body on a vCPU thread with the device's lock held. Queues belong to the body's I/O threads
// from activate() until the body says reset_done(). The two exchange messages and atomics only:
// nothing that Device's functions do may wait for an I/O thread, for I/O or for a lock that is
// held during I/O. virtio/worker.hpp is a ready-made I/O thread that keeps to this.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>

#include "virtio/features.hpp"
#include "virtio/queue.hpp"
#include "vmm/assert.hpp"
#include "vmm/memory_layout.hpp"
#include "vmm/mutex.hpp"

namespace vmm::virtio {

/// For a body whose queues somebody else serves (vhost in the kernel, a vhost-user process).
class CallObserver {
public:
    virtual ~CallObserver() = default;
    /// Link::call_fd() of a queue is another one. Comes from the register side, with the device's
    /// lock held: like Device's functions it may not wait for that somebody. Whoever raises
    /// interrupts signals the new one once when it has it: what went to the old one meanwhile may
    /// be lost.
    virtual void call_changed(std::uint16_t queue, int eventfd) noexcept = 0;
};

/// The body's way back to the register side. The I/O threads may use it from Device::activate()
/// until they say reset_done(), and not once after that: whoever waits for the word may have freed
/// it. Builds for development abort on any other use.
class Link {
public:
    virtual ~Link() = default;

    /// The device cannot go on until the driver resets it. A leaf call.
    void needs_reset() noexcept {
        assert_lent();
        take_needs_reset();
    }

    /// The answer to Device::reset(), once: no queue is touched any more, nor is this link. Comes
    /// from inside reset(), or from an I/O thread that holds no lock: another driver may be ready,
    /// and then the next activate() is called from here.
    void reset_done() noexcept {
        assert_lent();
        lent_.store(false, std::memory_order_relaxed);
        take_reset_done();
    }

    /// The answer to Device::stop_queue(), once. A leaf call; may come from inside stop_queue().
    void queue_stopped(std::uint16_t index) noexcept {
        assert_lent();
        take_queue_stopped(index);
    }

    /// The answer to Device::pause(), once for each: from here on no byte of guest RAM changes
    /// through this device, until resume(). A leaf call; may come from inside pause().
    void paused() noexcept {
        assert_lent();
        take_paused();
    }

    // Interrupts of a queue that somebody else serves. Queue::publish() does without.

    /// What vhost names the call descriptor: an eventfd that raises the queue's interrupt, or holds
    /// it back while that is masked. -1: there is none, because the driver uses INTx or gave the
    /// queue no vector; what the other side then signals elsewhere, used_buffers() brings. Stays
    /// open as long as the transport is there. Register side.
    virtual int call_fd(std::uint16_t queue) const noexcept = 0;
    /// From here on `observer`, which outlives the transport, hears of changes. Once, in
    /// Device::attach().
    void observe_calls(CallObserver& observer) noexcept { observer_ = &observer; }
    /// Interrupts the driver about a queue, by whatever it uses. A leaf call, from an I/O thread.
    void used_buffers(std::uint16_t queue) noexcept {
        assert_lent();
        take_used_buffers(queue);
    }

    /// Changes what read_config() shows, under the device's lock, and tells the driver.
    /// Never from inside a call to the Device.
    template <class Change>
    void update_config(Change&& change) {
        assert_lent();
        update_config_as_owner(std::forward<Change>(change));
    }

    /// The same for those who own device and transport (a disk has grown, a cable was pulled): at
    /// any time while both are there.
    template <class Change>
    void update_config_as_owner(Change&& change) {
        const std::scoped_lock held{register_lock()};
        std::forward<Change>(change)();
        config_changed();
    }

protected:
    /// The I/O threads have it from here on.
    void lend() noexcept { lent_.store(true, std::memory_order_relaxed); }
    void assert_lent() const noexcept { VMM_DEBUG_ASSERT(lent_.load(std::memory_order_relaxed)); }

    virtual void take_needs_reset() noexcept = 0;
    virtual void take_reset_done() noexcept = 0;
    virtual void take_queue_stopped(std::uint16_t index) noexcept = 0;
    virtual void take_paused() noexcept = 0;
    virtual void take_used_buffers(std::uint16_t queue) noexcept = 0;
    virtual Mutex& register_lock() noexcept = 0;
    /// A new configuration generation and, when a driver runs, an interrupt.
    virtual void config_changed() noexcept = 0;

    void tell_call(std::uint16_t queue, int eventfd) noexcept {
        if (observer_ != nullptr)
            observer_->call_changed(queue, eventfd);
    }

private:
    std::atomic<bool> lent_{false};
    CallObserver* observer_ = nullptr;
};

/// Memory that device and driver share, beside queues and guest RAM: a DAX window, a frame buffer.
/// Spec: 2.10.
struct SharedMemory {
    std::uint8_t id = 0;  ///< what the device type's section calls it
    DeviceMemory memory;
};

/// A device body. All calls come one at a time, with the device's lock held; none may block.
class Device {
public:
    virtual ~Device() = default;

    // What it is. Never changes.
    virtual DeviceType type() const noexcept = 0;
    /// Its own feature bits, and IN_ORDER if it completes in order anyway. The transport adds
    /// VERSION_1, indirect descriptors, EVENT_IDX, RING_RESET and, as configured, the others.
    virtual Features features() const noexcept = 0;
    /// Largest size of each queue: a power of two up to Queue::kMaxSize. At most 1024 queues.
    virtual std::span<const std::uint16_t> queue_sizes() const noexcept = 0;
    virtual std::uint32_t config_size() const noexcept = 0;  ///< bytes, up to 4096

    /// Its shared memory regions; ids differ. The memory outlives the transport.
    virtual std::span<const SharedMemory> shared_memory() const noexcept { return {}; }

    /// Would it run with these? (A subset of what was offered, with VERSION_1.) False: the driver
    /// sees FEATURES_OK refused.
    virtual bool accepts(Features features) const noexcept = 0;
    /// FEATURES_OK: the driver runs with these until the next reset. For a configuration space that
    /// depends on them.
    virtual void negotiated(Features) noexcept {}

    // Its configuration space; [offset, offset + size) lies inside. Any width, any alignment.
    virtual void read_config(std::uint32_t offset, std::span<std::byte> to) noexcept = 0;
    virtual void write_config(std::uint32_t offset, std::span<const std::byte> from) noexcept = 0;

    /// Once, before anything else. Whoever owns both destroys the transport first, which resets the
    /// device and waits for reset_done().
    virtual void attach(Link& link) noexcept = 0;

    /// Takes from the host what a confined thread may not take any more. At most once, on the
    /// thread that made the device, before its I/O thread exists. Without it everything works,
    /// perhaps slower.
    virtual void prepare() noexcept {}

    /// DRIVER_OK: `queues` are the body's I/O threads' now; those that are not enabled() are to be
    /// left alone until start_queue(). The span stays valid until reset_done().
    virtual void activate(Features features, std::span<Queue> queues) noexcept = 0;

    /// Stop taking chains, let what is in flight end (or cancel it), then Link::reset_done().
    /// Comes only after activate(), once for each.
    virtual void reset() noexcept = 0;

    /// The same for one queue (RING_RESET), answered by Link::queue_stopped(). A reset() may come
    /// before the answer, which may then be left out.
    virtual void stop_queue(std::uint16_t index) noexcept = 0;
    /// A queue that was not enabled at activate(), or was stopped since, is the I/O thread's
    /// (again).
    virtual void start_queue(Queue& queue) noexcept = 0;

    /// Stop taking chains without a reset and let what is in flight end, then Link::paused(). Comes
    /// only after activate(). What happens meanwhile (a kick, a frame, input of a console) waits.
    /// A reset() ends the pause; its answer takes the place of one that is still due.
    virtual void pause() noexcept = 0;
    /// Go on, and look at everything that may have come meanwhile. May come before the answer to
    /// pause(), which is then due at once: each pause() has one, in order.
    virtual void resume() noexcept = 0;
};

}  // namespace vmm::virtio
