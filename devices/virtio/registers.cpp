// SPDX-License-Identifier: Apache-2.0
#include "virtio/registers.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "vmm/assert.hpp"

namespace vmm::virtio {
namespace {

constexpr std::size_t kMaxQueues = 1024;
constexpr std::uint8_t kWithoutConditions =
    status::kAcknowledge | status::kDriver | status::kFailed;

std::uint32_t half_of(std::uint64_t value, bool high) {
    return static_cast<std::uint32_t>(high ? value >> 32 : value);
}

std::uint64_t with_half(std::uint64_t value, bool high, std::uint32_t to) {
    if (high)
        return (value & 0xffff'ffff) | std::uint64_t{to} << 32;
    return (value & ~std::uint64_t{0xffff'ffff}) | to;
}

}  // namespace

Result<std::unique_ptr<Registers>> Registers::create(Device& device, GuestMemory& memory,
                                                     Transport& transport, CommonOptions options) {
    std::unique_ptr<Registers> registers{new Registers{device, transport, options}};
    VMM_TRY(registers->make_queues(memory));
    device.attach(*registers);
    return registers;
}

Registers::Registers(Device& device, Transport& transport, CommonOptions options)
    : device_{device},
      transport_{transport},
      calls_(device.queue_sizes().size(), -1),
      stopped_(device.queue_sizes().size()) {
    required_ = f::kVersion1;
    if (options.access_platform)
        required_ |= f::kAccessPlatform;
    offered_ =
        device.features() | required_ | f::kIndirectDescriptors | f::kEventIdx | f::kRingReset;
    if (options.packed)
        offered_ |= f::kRingPacked;
}

Result<> Registers::make_queues(GuestMemory& memory) {
    const auto sizes = device_.queue_sizes();
    VMM_ASSERT(sizes.size() <= kMaxQueues);
    registers_.resize(sizes.size());
    queues_.reserve(sizes.size());
    QueueEvents& events = *this;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        auto kick = VMM_TRY(EventFd::create_waitable());
        queues_.emplace_back(static_cast<std::uint16_t>(i), sizes[i], std::move(kick), memory,
                             events);
        clear(i);
    }
    return {};
}

Registers::~Registers() {
    reset_and_wait();
}

// Features. Spec: 2.2, 4.1.4.3.

std::uint32_t Registers::device_feature() const noexcept {
    return device_feature_select_ > 1 ? 0 : half_of(offered_, device_feature_select_ == 1);
}

std::uint32_t Registers::driver_feature() const noexcept {
    return driver_feature_select_ > 1 ? 0 : half_of(driver_features_, driver_feature_select_ == 1);
}

void Registers::set_driver_feature(std::uint32_t to) noexcept {
    const bool settled = (status_ & status::kFeaturesOk) != 0;
    if (driver_feature_select_ > 1 || settled)
        return;
    driver_features_ = with_half(driver_features_, driver_feature_select_ == 1, to);
}

bool Registers::acceptable(Features features) const noexcept {
    const bool subset = (features & ~offered_) == 0;
    const bool complete = (features & required_) == required_;
    return subset && complete && device_.accepts(features);
}

// Status. Spec: 2.1, 3.1.1.

std::uint8_t Registers::device_status() const noexcept {
    // "Wait until it reads 0", says 4.1.4.3.2 to a driver that writes nothing else meanwhile.
    if (state_ == State::Draining && status_ == 0)
        return last_status_;
    const bool sick = needs_reset_.load(std::memory_order_acquire);
    return static_cast<std::uint8_t>(status_ | (sick ? status::kNeedsReset : 0));
}

void Registers::set_device_status(std::uint8_t to) noexcept {
    if (to == 0) {
        begin_reset();
        return;
    }
    // "The driver MUST NOT clear a device status bit": bits are only ever added.
    status_ = static_cast<std::uint8_t>(status_ | (to & kWithoutConditions));
    if ((status_ & status::kFailed) != 0)
        return;
    if ((to & status::kFeaturesOk) != 0 && (status_ & status::kFeaturesOk) == 0 &&
        acceptable(driver_features_)) {
        status_ |= status::kFeaturesOk;
        device_.negotiated(driver_features_);
    }
    const bool ready = (status_ & status::kFeaturesOk) != 0;
    if ((to & status::kDriverOk) == 0 || (status_ & status::kDriverOk) != 0 || !ready)
        return;
    status_ |= status::kDriverOk;
    start_if_ready();
}

void Registers::start_if_ready() noexcept {
    const bool driver_ok = (status_ & status::kDriverOk) != 0;
    const bool failed = (status_ & status::kFailed) != 0 || needs_reset_.load();
    if (state_ == State::Idle && driver_ok && !failed && !paused_)
        start();
}

void Registers::start() noexcept {
    driver_ok_.store(true, std::memory_order_release);
    bool good = true;
    for (std::size_t i = 0; i < queues_.size(); ++i)
        if (registers_[i].enabled)
            good = queues_[i].start(registers_[i].ring, driver_features_,
                                    std::exchange(registers_[i].from, {})) &&
                   good;
    if (!good) {
        // Rings that are not RAM. Nothing runs: the driver has to begin again.
        for (Queue& queue : queues_)
            queue.stop();
        take_needs_reset();
        return;
    }
    state_ = State::Active;
    lend();
    device_.activate(driver_features_, queues_);
}

void Registers::halt() noexcept {
    if (state_ != State::Idle)
        begin_reset();
}

void Registers::begin_reset() noexcept {
    const std::uint8_t before = status_;
    clear();
    if (state_ != State::Active)
        return;
    state_ = State::Draining;
    last_status_ = before;
    answered_at_once_ = false;
    in_reset_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    device_.reset();
    in_reset_.store({}, std::memory_order_relaxed);
    if (answered_at_once_)
        end_reset();
}

// No queue is touched any more. Another driver may have come as far as DRIVER_OK meanwhile.
void Registers::end_reset() noexcept {
    state_ = State::Idle;
    for (Queue& queue : queues_)
        queue.stop();
    needs_reset_.store(false, std::memory_order_release);
    pauses_ = 0;
    pauses_answered_.store(0, std::memory_order_relaxed);
    transport_.queues_released();
    start_if_ready();
}

void Registers::settle() noexcept {
    if (state_ != State::Active)
        return;
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        if (registers_[i].resetting && stopped_[i].load(std::memory_order_acquire)) {
            queues_[i].stop();
            clear(i);
            registers_[i].was_reset = true;
        }
    }
}

void Registers::clear() noexcept {
    status_ = 0;
    device_feature_select_ = 0;
    driver_feature_select_ = 0;
    driver_features_ = 0;
    queue_select_ = 0;
    for (std::size_t i = 0; i < queues_.size(); ++i)
        clear(i);
    driver_ok_.store(false, std::memory_order_release);
    needs_reset_.store(false, std::memory_order_release);
    transport_.registers_cleared();
}

// What the driver wrote of it; the queue itself may be the I/O threads'.
void Registers::clear(std::size_t queue) noexcept {
    registers_[queue] = {};
    registers_[queue].ring.size = queues_[queue].max_size();
}

void Registers::set_call(std::uint16_t queue, int eventfd) noexcept {
    if (std::exchange(calls_[queue], eventfd) != eventfd)
        tell_call(queue, eventfd);
}

void Registers::ask_reset() noexcept {
    const std::scoped_lock held{transport_.lock()};
    paused_ = false;
    begin_reset();
}

bool Registers::released() noexcept {
    const std::scoped_lock held{transport_.lock()};
    return state_ == State::Idle;
}

void Registers::ask_pause() noexcept {
    const std::scoped_lock held{transport_.lock()};
    if (std::exchange(paused_, true) || state_ != State::Active)
        return;
    ++pauses_;
    device_.pause();
}

bool Registers::quiet() noexcept {
    const std::scoped_lock held{transport_.lock()};
    return is_quiet();
}

bool Registers::is_quiet() const noexcept {
    if (state_ == State::Active)
        return paused_ && pauses_answered_.load(std::memory_order_acquire) == pauses_;
    return state_ == State::Idle;
}

void Registers::resume() noexcept {
    const std::scoped_lock held{transport_.lock()};
    if (!std::exchange(paused_, false))
        return;
    if (state_ == State::Active)
        device_.resume();
    start_if_ready();
}

void Registers::reset_and_wait() noexcept {
    std::unique_lock held{transport_.lock()};
    paused_ = false;
    begin_reset();
    // The lock is free meanwhile: an I/O thread may still want it, to change the configuration
    // space.
    drained_.wait(held, [this] { return state_ == State::Idle; });
}

// Queues. Spec: 4.1.4.3, 2.6.1.

const Registers::QueueRegisters* Registers::selected() const noexcept {
    return queue_selected() ? &registers_[queue_select_] : nullptr;
}

// The selected queue, if the driver may set it up now.
Registers::QueueRegisters* Registers::writable_queue() noexcept {
    if (!queue_selected() || (status_ & status::kFailed) != 0)
        return nullptr;
    QueueRegisters& queue = registers_[queue_select_];
    const bool frozen = (status_ & status::kDriverOk) != 0 && !queue.was_reset;
    return queue.enabled || frozen ? nullptr : &queue;
}

std::uint16_t Registers::queue_size() const noexcept {
    const QueueRegisters* const queue = selected();
    return queue == nullptr ? std::uint16_t{0} : queue->ring.size;
}

void Registers::set_queue_size(std::uint16_t to) noexcept {
    QueueRegisters* const queue = writable_queue();
    if (queue == nullptr || to == 0 || to > queues_[queue_select_].max_size())
        return;
    if (packed() || std::has_single_bit(to))
        queue->ring.size = to;
}

bool Registers::queue_enable() const noexcept {
    const QueueRegisters* const queue = selected();
    return queue != nullptr && queue->enabled;
}

void Registers::set_queue_enable(std::uint16_t to) noexcept {
    // "The driver MUST NOT write a 0 to queue_enable."
    QueueRegisters* const registers = writable_queue();
    if (registers == nullptr || to != 1 || (status_ & status::kFeaturesOk) == 0)
        return;
    if (state_ != State::Active) {
        registers->enabled = true;
        return;
    }
    Queue& queue = queues_[queue_select_];
    if (!queue.start(registers->ring, driver_features_)) {
        take_needs_reset();
        return;
    }
    registers->enabled = true;
    registers->was_reset = false;
    device_.start_queue(queue);
}

bool Registers::queue_reset() const noexcept {
    const QueueRegisters* const queue = selected();
    return queue != nullptr && queue->resetting;
}

void Registers::set_queue_reset(std::uint16_t to) noexcept {
    if (to != 1 || !queue_selected() || (driver_features_ & f::kRingReset) == 0 ||
        (status_ & status::kFailed) != 0)
        return;
    QueueRegisters& registers = registers_[queue_select_];
    if (!registers.enabled || registers.resetting)
        return;
    if (state_ != State::Active) {
        clear(queue_select_);
        registers.was_reset = (status_ & status::kDriverOk) != 0;
        return;
    }
    registers.resetting = true;
    stopped_[queue_select_].store(false, std::memory_order_relaxed);
    device_.stop_queue(queue_select_);
    settle();
}

Gpa& Registers::area_of(QueueRegisters& queue, Area area) const noexcept {
    switch (area) {
        case Area::Descriptors:
            return queue.ring.descriptors;
        case Area::Driver:
            return queue.ring.driver;
        case Area::Device:
            break;
    }
    return queue.ring.device;
}

std::uint32_t Registers::queue_address(Area area, Half half) const noexcept {
    if (!queue_selected())
        return 0;
    QueueRegisters copy = registers_[queue_select_];
    return half_of(area_of(copy, area).value(), half == Half::High);
}

void Registers::set_queue_address(Area area, Half half, std::uint32_t to) noexcept {
    QueueRegisters* const queue = writable_queue();
    if (queue == nullptr)
        return;
    Gpa& at = area_of(*queue, area);
    at = Gpa{with_half(at.value(), half == Half::High, to)};
}

bool Registers::running(std::uint16_t queue) const noexcept {
    return state_ == State::Active && queue < registers_.size() && registers_[queue].enabled;
}

const Queue* Registers::queue(std::uint64_t index) const noexcept {
    return index < queues_.size() ? &queues_[index] : nullptr;
}

// Configuration space. Spec: 2.5.

void Registers::read_config(std::uint64_t offset, std::span<std::byte> to) noexcept {
    const std::uint64_t size = device_.config_size();
    if (offset > size || to.size() > size - offset) {
        std::memset(to.data(), 0xff, to.size());
        return;
    }
    device_.read_config(static_cast<std::uint32_t>(offset), to);
}

void Registers::write_config(std::uint64_t offset, std::span<const std::byte> from) noexcept {
    const std::uint64_t size = device_.config_size();
    if (offset > size || from.size() > size - offset)
        return;
    device_.write_config(static_cast<std::uint32_t>(offset), from);
}

void Registers::config_changed() noexcept {
    ++generation_;
    if (driver_ok_.load(std::memory_order_acquire))
        transport_.config_changed();
}

// Link.

void Registers::take_needs_reset() noexcept {
    if (needs_reset_.exchange(true, std::memory_order_acq_rel))
        return;
    // "If DRIVER_OK is set, after it sets DEVICE_NEEDS_RESET, the device MUST send a device
    // configuration change notification."
    if (driver_ok_.load(std::memory_order_acquire))
        transport_.config_changed();
}

// From inside Device::reset() the lock is held, and begin_reset() goes on. Else it is taken, and
// let go of as the last thing that is done here: whoever waits has to get it first, and may then
// destroy all this.
void Registers::take_reset_done() noexcept {
    if (in_reset_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
        answered_at_once_ = true;
        return;
    }
    const std::scoped_lock held{transport_.lock()};
    end_reset();
    drained_.notify_all();
}

void Registers::take_queue_stopped(std::uint16_t index) noexcept {
    stopped_[index].store(true, std::memory_order_release);
}

void Registers::take_paused() noexcept {
    pauses_answered_.fetch_add(1, std::memory_order_release);
    transport_.device_paused();
}

}  // namespace vmm::virtio
