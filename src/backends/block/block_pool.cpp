// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_pool.hpp"

#include <utility>

#include "vmm/error_record.hpp"
#include "vmm/log.hpp"

namespace vmm {

BlockPool::BlockPool(BlockIo& io, const EventFd& done, unsigned room) : io_{io}, event_{done} {
    ordered_.reserve(room);
}

BlockPool::~BlockPool() {
    {
        const std::scoped_lock held{mutex_};
        quit_ = true;
    }
    work_.notify_all();
    for (const auto& thread : ordered_)
        thread->join();
}

bool BlockPool::put(BlockRequest& request, unsigned most) noexcept {
    bool enough = false;
    {
        const std::scoped_lock held{mutex_};
        enough = waiting_count_ < idle_ || threads_ >= most || no_more_;
    }
    if (!enough)
        add_thread();
    {
        const std::scoped_lock held{mutex_};
        if (threads_ == 0)
            return false;
        waiting_.push(request);
        ++waiting_count_;
    }
    work_.notify_one();
    return true;
}

void BlockPool::take_done(BlockRequestList& to, BlockRequestList& refused) noexcept {
    const std::scoped_lock held{mutex_};
    to.splice(done_);
    if (!given_up())
        return;
    refused.splice(waiting_);
    waiting_count_ = 0;
}

bool BlockPool::any_done() noexcept {
    const std::scoped_lock held{mutex_};
    return !done_.empty() || (given_up() && !waiting_.empty());
}

void BlockPool::add_thread() noexcept {
    {
        const std::scoped_lock held{mutex_};
        ++threads_;
    }
    ordered_.push_back(std::make_unique<OrderedThread>());
    ordered_.back()->order(
        {.kind = ThreadKind::BlockPool, .name = "disk-pool"}, [this]() noexcept { run(); },
        [this](const Error& error) noexcept { thread_refused(error); });
}

// Not tried again: a guest can ask for it with each request.
void BlockPool::thread_refused(const Error& error) noexcept {
    bool first = false;
    {
        const std::scoped_lock held{mutex_};
        first = !std::exchange(no_more_, true);
        --threads_;
    }
    if (first)
        log::warn("cannot start a thread for disk I/O: ", record_of(error));
    event_.signal();  // for take_done()
}

void BlockPool::run() noexcept {
    BlockScratch scratch;
    while (BlockRequest* const request = next()) {
        io_.perform(*request, scratch);
        {
            const std::scoped_lock held{mutex_};
            done_.push(*request);
        }
        event_.signal();
    }
}

// What to do; null to end.
BlockRequest* BlockPool::next() noexcept {
    std::unique_lock held{mutex_};
    ++idle_;
    work_.wait(held, [&] { return quit_ || !waiting_.empty(); });
    --idle_;
    BlockRequest* const request = waiting_.pop();
    if (request != nullptr)
        --waiting_count_;
    return request;
}

}  // namespace vmm
