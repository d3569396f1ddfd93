// SPDX-License-Identifier: Apache-2.0
#include "pci/vector_slot.hpp"

#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "vmm/log.hpp"

namespace vmm::pci {
namespace {

bool has_count(int eventfd) {
    pollfd wait{.fd = eventfd, .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN) != 0;
}

bool take_count(int eventfd) {
    std::uint64_t count = 0;
    return has_count(eventfd) && ::read(eventfd, &count, sizeof count) == sizeof count;
}

}  // namespace

void VectorSlot::deliver(const MsiMessage& message) noexcept {
    if (connected_ && routed_ == message)
        return;
    // A driver should mask first; one that does not gets the new message from here on.
    hold();
    // What came while masked goes out once: the hypervisor may or may not look at the count.
    const bool was_pending = take_count(vector_->fd());
    const Result<> connected = vector_->unmask(message);
    connected_ = connected.has_value();
    routed_ = message;
    if (!connected && !std::exchange(reported_, true))
        log::warn("message interrupt stays masked: ", connected.error().one_line());
    if (was_pending)
        vector_->signal();
}

void VectorSlot::hold() noexcept {
    if (std::exchange(connected_, false))
        vector_->mask();
}

bool VectorSlot::pending() const noexcept {
    return !connected_ && has_count(vector_->fd());
}

bool VectorSlot::take_pending() noexcept {
    return !connected_ && take_count(vector_->fd());
}

}  // namespace vmm::pci
