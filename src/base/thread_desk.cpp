// SPDX-License-Identifier: Apache-2.0
#include "vmm/thread_desk.hpp"

#include <algorithm>
#include <utility>

#include "vmm/assert.hpp"

namespace vmm {
namespace {

// Which desk is open, and its orders. One mutex for all: a desk may close while somebody orders.
RankedMutex<LockRank::ThreadDesk> mutex;
ThreadDesk* open_desk = nullptr;

}  // namespace

Result<std::unique_ptr<ThreadDesk>> ThreadDesk::open() {
    std::unique_ptr<ThreadDesk> desk{new ThreadDesk{VMM_TRY(EventFd::create())}};
    const std::lock_guard guard{mutex};
    VMM_ASSERT(open_desk == nullptr);
    open_desk = desk.get();
    return desk;
}

ThreadDesk::~ThreadDesk() {
    const std::lock_guard guard{mutex};
    VMM_ASSERT(orders_.empty());  // whoever ordered has been ended before
    open_desk = nullptr;
}

void ThreadDesk::serve() noexcept {
    ordered_.drain();  // before the look: what is ordered after it signals again
    while (true) {
        OrderedThread* next = nullptr;
        {
            const std::lock_guard guard{mutex};
            if (orders_.empty())
                return;
            next = orders_.front();
            orders_.erase(orders_.begin());
        }
        next->make();
    }
}

void OrderedThread::order(ThreadPlan plan, ThreadBody body, Failed failed) noexcept {
    plan_ = std::move(plan);
    body_ = std::move(body);
    failed_ = std::move(failed);
    {
        const std::lock_guard guard{mutex};
        if (open_desk != nullptr) {
            open_desk->orders_.push_back(this);
            open_desk->ordered_.signal();
            return;
        }
    }
    make();
}

bool OrderedThread::withdraw() noexcept {
    const std::lock_guard guard{mutex};
    return open_desk != nullptr && std::erase(open_desk->orders_, this) != 0;
}

void OrderedThread::join() noexcept {
    if (!withdraw() && thread_.joinable())
        thread_.join();
}

void OrderedThread::make() noexcept {
    auto made = make_thread(std::move(plan_), std::move(body_));
    if (made)
        thread_ = std::move(*made);
    else
        failed_(std::move(made.error()));
}

}  // namespace vmm
