// SPDX-License-Identifier: Apache-2.0
#include "virtio/stepper.hpp"

#include <array>
#include <utility>

#include "virtio/worker.hpp"
#include "vmm/assert.hpp"

namespace vmm::virtio {

std::size_t Stepper::fetch() {
    VMM_ASSERT(worker_ != nullptr);
    if (worker_->mode_ == Worker::Mode::Paused) {
        if (worker_->commanded())
            batch_.push_back({.events = EPOLLIN, .data = {.u64 = Worker::kWake}});
        return batch_.size();
    }
    std::array<epoll_event, Worker::kBatch> events{};
    const int count = ::epoll_wait(worker_->epoll_.get(), events.data(), events.size(), 0);
    batch_.insert(batch_.end(), events.begin(), events.begin() + (count > 0 ? count : 0));
    return batch_.size();
}

void Stepper::dispatch(std::size_t which) {
    VMM_ASSERT(which < batch_.size());
    const epoll_event event = batch_[which];
    batch_.erase(batch_.begin() + static_cast<std::ptrdiff_t>(which));
    worker_->dispatch(event.data.u64, event.events);
    if (batch_.empty())
        worker_->try_pause();
}

void Stepper::make_calls() noexcept {
    if (worker_->mode_ == Worker::Mode::Paused)
        return;
    const auto due = std::exchange(worker_->calls_, {});
    for (const Worker::Call& call : due)
        worker_->handler_.ready(call.source, 0);
}

bool Stepper::run(std::size_t most) {
    for (; most > 0; --most) {
        if (fetched() == 0 && fetch() == 0)
            return true;
        dispatch(0);
    }
    return false;
}

}  // namespace vmm::virtio
