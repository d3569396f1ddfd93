// SPDX-License-Identifier: Apache-2.0
// The registers' state: what the driver wrote, and how far its queues have come.
#include <utility>

#include "virtio/registers.hpp"
#include "vmm/assert.hpp"

namespace vmm::virtio {
namespace {

constexpr std::uint16_t kStateVersion = 1;
constexpr std::uint8_t kKeptStatus = status::kAcknowledge | status::kDriver | status::kDriverOk |
                                     status::kFeaturesOk | status::kFailed;

constexpr bool has(std::uint8_t status, std::uint8_t bit) {
    return (status & bit) != 0;
}

}  // namespace

void Registers::save(StateWriter& to) {
    const std::scoped_lock held{transport_.lock()};
    VMM_ASSERT(is_quiet());
    settle();
    const StateWriter::Section section{to, kStateVersion};
    to.put(status_);
    to.put(needs_reset_.load(std::memory_order_acquire));
    to.put(generation_);
    to.put(device_feature_select_);
    to.put(driver_feature_select_);
    to.put(driver_features_);
    to.put(queue_select_);
    to.put(num_queues());
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        const QueueRegisters& queue = registers_[i];
        const bool runs = state_ == State::Active && queue.enabled;
        const auto position = runs ? std::optional{queues_[i].next_position()} : queue.from;
        to.put(queue.ring.size);
        to.put(queue.enabled);
        to.put(queue.was_reset);
        to.put(queue.ring.descriptors.value());
        to.put(queue.ring.driver.value());
        to.put(queue.ring.device.value());
        to.put(position.has_value());
        if (position) {
            to.put(position->available);
            to.put(position->used);
        }
    }
}

Registers::QueueRegisters Registers::read_queue(StateReader& from, std::uint8_t status,
                                                const Queue& queue) const {
    QueueRegisters read;
    read.ring.size = from.get<std::uint16_t>("queue size", queue.max_size());
    from.require(read.ring.size > 0, "queue size", "is zero");
    read.enabled = from.get_flag("queue enabled");
    from.require(!read.enabled || has(status, status::kFeaturesOk), "queue enabled",
                 "comes before FEATURES_OK");
    read.was_reset = from.get_flag("queue was reset");
    from.require(!read.was_reset || (has(status, status::kDriverOk) && !read.enabled),
                 "queue was reset", "does not go with the status");
    read.ring.descriptors = Gpa{from.get<std::uint64_t>("descriptor area")};
    read.ring.driver = Gpa{from.get<std::uint64_t>("driver area")};
    read.ring.device = Gpa{from.get<std::uint64_t>("device area")};
    if (!from.get_flag("position"))
        return read;
    from.require(read.enabled && has(status, status::kDriverOk), "position",
                 "is that of a queue that does not run");
    RingPosition position;
    position.available = from.get<std::uint16_t>("available position");
    position.used = from.get<std::uint16_t>("used position");
    read.from = position;
    return read;
}

Registers::Saved Registers::read_registers(StateReader& from) const {
    Saved saved;
    saved.status = from.get<std::uint8_t>("status");
    from.require((saved.status & ~kKeptStatus) == 0, "status", "has bits that are not kept");
    from.require(has(saved.status, status::kFeaturesOk) || !has(saved.status, status::kDriverOk),
                 "status", "has DRIVER_OK without FEATURES_OK");
    saved.needs_reset = from.get_flag("needs reset");
    saved.generation = from.get<std::uint8_t>("configuration generation");
    saved.device_feature_select = from.get<std::uint32_t>("device feature select");
    saved.driver_feature_select = from.get<std::uint32_t>("driver feature select");
    saved.driver_features = from.get<std::uint64_t>("driver features");
    from.require(!has(saved.status, status::kFeaturesOk) || acceptable(saved.driver_features),
                 "driver features", "are not those of this device");
    saved.queue_select = from.get<std::uint16_t>("queue select");
    const auto queues = from.get<std::uint16_t>("number of queues");
    from.require(queues == queues_.size(), "number of queues", "is not that of this device");
    for (const Queue& queue : queues_)
        saved.queues.push_back(read_queue(from, saved.status, queue));
    return saved;
}

// What would start must be able to.
void Registers::require_rings(StateReader& from, const Saved& saved) noexcept {
    if (!has(saved.status, status::kDriverOk) || has(saved.status, status::kFailed) ||
        saved.needs_reset || from.failed())
        return;
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        const QueueRegisters& queue = saved.queues[i];
        if (!queue.enabled)
            continue;
        from.require(queues_[i].start(queue.ring, saved.driver_features, queue.from),
                     "queue addresses", "are not those of rings in RAM, or have no such position");
        queues_[i].stop();
    }
}

Result<> Registers::restore(StateReader& from) {
    const std::scoped_lock held{transport_.lock()};
    VMM_TRY(read_state(from))();
    start_if_ready();
    return {};
}

Result<ApplyState> Registers::read_state(StateReader& from) {
    StateReader state = VMM_TRY(from.section("virtio registers", kStateVersion));
    if (state_ != State::Idle)
        return std::unexpected(
            Error{ErrorKind::Config, "the virtio device is in use: its state cannot be restored"});
    Saved saved = read_registers(state);
    require_rings(state, saved);
    VMM_TRY(state.done());
    return [this, saved = std::move(saved)]() mutable noexcept { apply(std::move(saved)); };
}

void Registers::apply(Saved saved) noexcept {
    clear();
    status_ = saved.status;
    generation_ = saved.generation;
    device_feature_select_ = saved.device_feature_select;
    driver_feature_select_ = saved.driver_feature_select;
    driver_features_ = saved.driver_features;
    queue_select_ = saved.queue_select;
    registers_ = std::move(saved.queues);
    needs_reset_.store(saved.needs_reset, std::memory_order_release);
    driver_ok_.store(has(status_, status::kDriverOk), std::memory_order_release);
    if (has(status_, status::kFeaturesOk))
        device_.negotiated(driver_features_);
}

}  // namespace vmm::virtio
