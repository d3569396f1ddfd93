// SPDX-License-Identifier: Apache-2.0
// The part of the transport that follows where its BARs are and whether the driver wants it to run.
#include <utility>

#include "virtio_pci/transport.hpp"
#include "vmm/log.hpp"

namespace vmm::virtio_pci {

// A driver that takes Bus Master Enable back wants its memory left alone: a kernel that starts
// another one (kexec) does so where its virtio drivers have no say. Those that never set the bit
// are served all the same. Spec: PCI 3.0, 6.2.2.
void Transport::follow_bus_master() noexcept {
    const std::scoped_lock held{function_.lock()};
    const bool was = std::exchange(bus_master_, function_.bus_master());
    if (!was || bus_master_)
        return;
    registers_->halt();
    doorbells_stale_.store(true, std::memory_order_release);
}

// Doorbells.

void Transport::bar_mapped(unsigned bar, std::uint64_t at) noexcept {
    if (bar == kSharedBar)
        return;  // no doorbells in it
    {
        const std::scoped_lock held{doorbell_lock_};
        place_of(bar) = at;
    }
    place_doorbells();
}

void Transport::bar_unmapped(unsigned bar) noexcept {
    if (bar == kSharedBar)
        return;
    {
        const std::scoped_lock held{doorbell_lock_};
        place_of(bar) = std::nullopt;
    }
    place_doorbells();
}

// Brings the ioeventfds in line with where the BAR is and which queues run.
void Transport::place_doorbells() noexcept {
    if (parts_.doorbells == nullptr)
        return;
    const std::scoped_lock placing{doorbell_lock_};
    doorbells_stale_.store(false, std::memory_order_release);
    {
        const std::scoped_lock held{function_.lock()};
        for (std::size_t i = 0; i < running_.size(); ++i)
            running_[i] = registers_->running(static_cast<std::uint16_t>(i));
    }
    for (std::size_t i = 0; i < doorbells_.size(); ++i)
        place_doorbell(i);
}

/// One for each queue, at the place that the driver prefers. What comes to the other one is an
/// exit.
std::optional<DoorbellAddress> Transport::doorbell_of(std::size_t queue) const noexcept {
    const std::uint64_t offset = queue * layout::kNotifyMultiplier;
    if (!running_[queue])
        return std::nullopt;
    if (ports_at_)
        return DoorbellAddress{
            .space = DoorbellAddress::Space::Port, .at = *ports_at_ + offset, .size = 2};
    if (bar_at_)
        return DoorbellAddress{.at = *bar_at_ + layout::kNotify + offset};
    return std::nullopt;
}

void Transport::place_doorbell(std::size_t queue) noexcept {
    const auto wanted = doorbell_of(queue);
    auto& connected = doorbells_[queue];
    if (connected == wanted)
        return;
    const int eventfd = registers_->queue(queue)->kick_event().fd();
    if (connected)
        parts_.doorbells->disconnect(*connected, eventfd);
    connected = std::nullopt;
    if (!wanted)
        return;
    if (const auto done = parts_.doorbells->connect(*wanted, eventfd))
        connected = wanted;
    else if (!std::exchange(reported_, true))
        log::warn("no ioeventfd for queue notifications, falling back to exits: ",
                  done.error().one_line());
}

}  // namespace vmm::virtio_pci
