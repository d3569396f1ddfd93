// SPDX-License-Identifier: Apache-2.0
// A virtio device body with a driver of its own and no transport in between: for tests of bodies.
//
//     DeviceRig rig{device, {.kind = RingKind::Packed}};
//     ASSERT_TRUE(rig.start());
//     const auto id = rig.queue(0).add({{rig.put("hello"), 5}, {rig.room(64), 64, true}});
//     rig.kick(0);
//     EXPECT_EQ(rig.wait_used(0), (UsedBuffer{id, 5}));
//
// Threads: the test's own; the device's I/O threads run beside it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "support/flat_guest_memory.hpp"
#include "support/virt_queue_driver.hpp"
#include "virtio/device.hpp"
#include "virtio/registers.hpp"
#include "vmm/mutex.hpp"

namespace vmm::test {

/// device_status as a driver writes it: with the features agreed, and at work.
inline constexpr std::uint8_t kUpToFeaturesOk =
    virtio::status::kAcknowledge | virtio::status::kDriver | virtio::status::kFeaturesOk;
inline constexpr std::uint8_t kRunning = kUpToFeaturesOk | virtio::status::kDriverOk;

/// Counts what would have become interrupts.
struct CountingTransport final : virtio::Transport {
    explicit CountingTransport(std::size_t queues) : used(queues) {}

    void used_buffers(std::uint16_t queue) noexcept override { ++used[queue]; }
    void config_changed() noexcept override { ++config; }
    void registers_cleared() noexcept override { ++cleared; }
    void queues_released() noexcept override { ++released; }
    void device_paused() noexcept override { ++paused; }
    Mutex& lock() noexcept override { return mutex; }

    std::vector<std::atomic<int>> used;  ///< by queue
    std::atomic<int> config{0};
    std::atomic<int> cleared{0};
    std::atomic<int> paused{0};
    int released = 0;
    RankedMutex<LockRank::Device> mutex;
};

class DeviceRig {
    // Register accesses come as from a transport: lock held, answers of I/O threads taken in first.
    template <class F>
    auto with_lock(F&& access) {
        const std::scoped_lock held{transport_.mutex};
        registers_->settle();
        return access();
    }

public:
    struct Options {
        RingKind kind = RingKind::Split;
        std::uint16_t size = 0;  ///< of each queue; 0: the device's maximum
        bool event_idx = true;
        bool in_order = false;
        virtio::Features without = 0;  ///< of what the device offers
        std::uint64_t ram = 64 << 20;  ///< bytes from address 0
    };

    explicit DeviceRig(virtio::Device& device) : DeviceRig{device, Options{}} {}
    DeviceRig(virtio::Device& device, Options options)
        : options_{options},
          memory_{options.ram},
          transport_{device.queue_sizes().size()},
          registers_{
              std::move(virtio::Registers::create(device, memory_, transport_, {}).value())} {}

    // The driver's way through the status bits. Spec: virtio 1.3, 3.1.1.

    /// Negotiates, sets all queues up, DRIVER_OK. False if the device refuses.
    bool start() {
        namespace st = virtio::status;
        write_status(st::kAcknowledge | st::kDriver);
        if (!negotiate())
            return false;
        for (std::uint16_t i = 0; i < registers_->num_queues(); ++i)
            set_up_queue(i);
        write_status(st::kAcknowledge | st::kDriver | st::kFeaturesOk | st::kDriverOk);
        return (status() & st::kDriverOk) != 0;
    }

    /// Features alone: true if FEATURES_OK stuck.
    bool negotiate() {
        namespace st = virtio::status;
        virtio::Features take = offered() & ~options_.without;
        if (options_.kind == RingKind::Split)
            take &= ~virtio::f::kRingPacked;
        if (!options_.event_idx)
            take &= ~virtio::f::kEventIdx;
        if (!options_.in_order)
            take &= ~virtio::f::kInOrder;
        accept(take);
        write_status(st::kAcknowledge | st::kDriver | st::kFeaturesOk);
        return (status() & st::kFeaturesOk) != 0;
    }

    virtio::Features offered() {
        return with_lock([&] {
            registers_->set_device_feature_select(0);
            const std::uint64_t low = registers_->device_feature();
            registers_->set_device_feature_select(1);
            return low | std::uint64_t{registers_->device_feature()} << 32;
        });
    }
    void accept(virtio::Features features) {
        negotiated_ = features;
        with_lock([&] {
            registers_->set_driver_feature_select(0);
            registers_->set_driver_feature(static_cast<std::uint32_t>(features));
            registers_->set_driver_feature_select(1);
            registers_->set_driver_feature(static_cast<std::uint32_t>(features >> 32));
        });
    }
    void write_status(std::uint8_t to) {
        with_lock([&] { registers_->set_device_status(to); });
    }
    std::uint8_t status() {
        return with_lock([&] { return registers_->device_status(); });
    }

    /// Writes 0 to the status and waits until it reads 0; false if that takes too long.
    bool reset() {
        write_status(0);
        drivers_.clear();
        return wait_until([&] { return status() == 0; });
    }

    /// RING_RESET for one queue; set_up_queue() brings it back.
    bool reset_queue(std::uint16_t index) {
        ask_queue_reset(index);
        return wait_until([&] { return is_queue_reset(index); });
    }
    /// The register write alone.
    void ask_queue_reset(std::uint16_t index) {
        with_lock([&] {
            registers_->set_queue_select(index);
            registers_->set_queue_reset(1);
        });
    }
    bool is_queue_reset(std::uint16_t index) {
        return with_lock([&] {
            registers_->set_queue_select(index);
            return !registers_->queue_reset() && !registers_->queue_enable();
        });
    }
    /// Rings in fresh memory, then queue_enable.
    void set_up_queue(std::uint16_t index) {
        using Area = virtio::Registers::Area;
        using Half = virtio::Registers::Half;
        with_lock([&] {
            virtio::Registers& r = *registers_;
            r.set_queue_select(index);
            if (options_.size != 0)
                r.set_queue_size(options_.size);
            const VirtQueueDriver::Options shape{
                .kind = options_.kind,
                .size = r.queue_size(),
                .event_idx = (negotiated_ & virtio::f::kEventIdx) != 0};
            if (drivers_.size() <= index)
                drivers_.resize(index + 1u);
            drivers_[index] = std::make_unique<VirtQueueDriver>(
                memory_, room(VirtQueueDriver::bytes_needed(shape), 4096), shape);
            const VirtQueueDriver& d = *drivers_[index];
            const auto put = [&](Area area, Gpa at) {
                r.set_queue_address(area, Half::Low, static_cast<std::uint32_t>(at.value()));
                r.set_queue_address(area, Half::High, static_cast<std::uint32_t>(at.value() >> 32));
            };
            put(Area::Descriptors, d.descriptors());
            put(Area::Driver, d.driver());
            put(Area::Device, d.device());
            r.set_queue_enable(1);
        });
    }

    // Traffic.

    VirtQueueDriver& queue(std::uint16_t index) { return *drivers_.at(index); }
    void kick(std::uint16_t index) { registers_->queue(index)->kick(); }
    /// A kick only if the device asked for one.
    bool kick_if_wanted(std::uint16_t index) {
        const bool wanted = queue(index).kick_wanted();
        if (wanted)
            kick(index);
        return wanted;
    }
    /// Only a test that fails waits for so long, however busy the machine is.
    static constexpr std::chrono::milliseconds kAlways{20'000};

    /// The next used buffer; nothing after `limit`.
    std::optional<UsedBuffer> wait_used(std::uint16_t index,
                                        std::chrono::milliseconds limit = kAlways) {
        std::optional<UsedBuffer> got;
        wait_until([&] { return (got = queue(index).collect()).has_value(); }, limit);
        return got;
    }
    template <class Condition>
    static bool wait_until(Condition&& condition, std::chrono::milliseconds limit = kAlways) {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end)
                return false;
            std::this_thread::sleep_for(std::chrono::microseconds{50});
        }
        return true;
    }

    /// As for a pause of the machine, whose answer this waits for.
    bool pause() {
        registers_->ask_pause();
        return wait_until([&] { return registers_->quiet(); });
    }
    void resume() { registers_->resume(); }

    // Guest memory.

    FlatGuestMemory& memory() { return memory_; }
    /// Fresh zeroed RAM.
    Gpa room(std::uint64_t bytes, std::uint64_t alignment = 16) {
        next_ = (next_ + alignment - 1) / alignment * alignment;
        const Gpa at{next_};
        next_ += bytes;
        if (next_ > options_.ram)
            std::abort();  // give the rig more RAM
        return at;
    }
    Gpa put(std::string_view text) {
        const Gpa at = room(text.size() + 1);
        std::memcpy(memory_.host(at, text.size() + 1), text.data(), text.size());
        return at;
    }
    template <class T>
    requires std::is_trivially_copyable_v<T> Gpa put_value(const T& value) {
        const Gpa at = room(sizeof value);
        if (!memory_.write(at, value))
            std::abort();
        return at;
    }

    // Configuration space and interrupts.

    template <class T>
    T config(std::uint32_t offset) {
        T value;
        with_lock([&] {
            registers_->read_config(offset, std::as_writable_bytes(std::span{&value, 1}));
        });
        return value;
    }
    template <class T>
    void write_config(std::uint32_t offset, T value) {
        with_lock([&] { registers_->write_config(offset, std::as_bytes(std::span{&value, 1})); });
    }
    int interrupts(std::uint16_t index) const { return transport_.used.at(index); }
    int config_interrupts() const { return transport_.config; }
    /// A used buffer shows before the interrupt about it comes: this waits for the first one.
    bool interrupted(std::uint16_t index) {
        return wait_until([&] { return interrupts(index) > 0; });
    }

    virtio::Registers& registers() { return *registers_; }
    CountingTransport& transport() { return transport_; }

private:
    Options options_;
    FlatGuestMemory memory_;
    std::uint64_t next_ = 0x10000;
    virtio::Features negotiated_ = 0;
    CountingTransport transport_;
    std::vector<std::unique_ptr<VirtQueueDriver>> drivers_;
    std::unique_ptr<virtio::Registers> registers_;
};

}  // namespace vmm::test
