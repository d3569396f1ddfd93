// SPDX-License-Identifier: Apache-2.0
// The part of the transport that interrupts the driver, and follows how it wants that.
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "virtio_pci/transport.hpp"

namespace vmm::virtio_pci {
namespace {

// ISR. Spec: 4.1.4.5.
constexpr std::uint8_t kIsrQueue = 1;
constexpr std::uint8_t kIsrConfig = 2;

}  // namespace

// Interrupts. Spec: 4.1.4.5, 4.1.5.1.2.

Transport::Vector* Transport::selected_vector() noexcept {
    return registers_->queue_selected() ? &queue_vectors_[registers_->queue_select()] : nullptr;
}

// "The device MUST return NO_VECTOR for a vector that it cannot map."
void Transport::set_vector(Vector& vector, std::uint16_t to) noexcept {
    MsiVector* const target = msix_->vector(to);
    vector.number = target == nullptr ? kNoVector : to;
    vector.target.store(target, std::memory_order_release);
}

// A mask changes nothing here: what is signalled meanwhile stays in the eventfd, pending.
void Transport::tell_calls() noexcept {
    for (std::size_t i = 0; i < queue_vectors_.size(); ++i) {
        const MsiVector* const target = queue_vectors_[i].target.load(std::memory_order_relaxed);
        const bool by_message = msix_->enabled() && target != nullptr;
        registers_->set_call(static_cast<std::uint16_t>(i), by_message ? target->fd() : -1);
    }
}

void Transport::used_buffers(std::uint16_t queue) noexcept {
    raise(queue_vectors_[queue], kIsrQueue);
}

void Transport::config_changed() noexcept {
    raise(config_vector_, kIsrConfig);
}

void Transport::raise(Vector& vector, std::uint8_t isr_bit) noexcept {
    if (msix_->enabled()) {
        signal(vector);
        // Turned off meanwhile: the message may have been held back, and who turned it off may have
        // looked for it before it came. What the guest gets twice does no harm.
        if (msix_->enabled()) [[likely]]
            return;
    }
    const std::scoped_lock held{isr_lock_};
    if (msix_->enabled()) {
        signal(vector);  // turned on meanwhile
        return;
    }
    isr_ |= isr_bit;
    drive_intx();
}

// False: it has no vector.
bool Transport::signal(const Vector& vector) noexcept {
    MsiVector* const target = vector.target.load(std::memory_order_acquire);
    if (target != nullptr)
        target->signal();
    return target != nullptr;
}

// By messages, as far as there are vectors. Which queue it was, nobody remembers.
void Transport::pass_on_isr() noexcept {
    std::uint8_t passed = 0;
    if ((isr_ & kIsrConfig) != 0 && signal(config_vector_))
        passed |= kIsrConfig;
    if ((isr_ & kIsrQueue) != 0)
        for (const Vector& vector : queue_vectors_)
            passed |= signal(vector) ? kIsrQueue : std::uint8_t{0};
    isr_ = static_cast<std::uint8_t>(isr_ & ~passed);
}

// The driver turned MSI-X on or off while its device runs: what was on its way by the one kind of
// interrupt goes by the other.
void Transport::follow_msix() noexcept {
    const std::scoped_lock held{function_.lock()};
    const bool on = msix_->enabled();
    const bool was_on = std::exchange(msix_on_, on);
    if (on != was_on)
        tell_calls();
    const std::scoped_lock pin{isr_lock_};
    if (was_on && !on) {
        if (msix_->take_pending(config_vector_.number))
            isr_ |= kIsrConfig;
        for (const Vector& vector : queue_vectors_)
            if (msix_->take_pending(vector.number))
                isr_ |= kIsrQueue;
    } else if (on) {
        pass_on_isr();
    }
    drive_intx();
}

// The pin follows the register, under the same lock, so that a read that clears the register
// cannot come between a bit and its level.
void Transport::drive_intx() noexcept {
    function_.set_intx(isr_ != 0 && !msix_->enabled());
}

std::uint8_t Transport::take_isr() noexcept {
    const std::scoped_lock held{isr_lock_};
    const std::uint8_t value = std::exchange(isr_, std::uint8_t{0});
    drive_intx();
    return value;
}

void Transport::registers_cleared() noexcept {
    set_vector(config_vector_, kNoVector);
    for (Vector& vector : queue_vectors_)
        set_vector(vector, kNoVector);
    tell_calls();
    take_isr();
}

void Transport::queues_released() noexcept {
    take_isr();
    doorbells_stale_.store(true, std::memory_order_release);  // some may run again
    if (parts_.released != nullptr)
        parts_.released->signal();
}

void Transport::device_paused() noexcept {
    if (parts_.released != nullptr)
        parts_.released->signal();
}

// A driver whose start had to wait for this runs now.
void Transport::resume() noexcept {
    registers_->resume();
    place_doorbells();
}

}  // namespace vmm::virtio_pci
