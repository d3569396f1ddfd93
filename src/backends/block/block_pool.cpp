// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_pool.hpp"

#include <pthread.h>

#include <system_error>

#include "vmm/error_record.hpp"
#include "vmm/faults.hpp"
#include "vmm/log.hpp"
#include "vmm/thread.hpp"

namespace vmm {

BlockPool::BlockPool(BlockIo& io, const EventFd& done, unsigned room) : io_{io}, event_{done} {
    threads_.reserve(room);
}

BlockPool::~BlockPool() {
    {
        const std::scoped_lock held{mutex_};
        quit_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

bool BlockPool::put(BlockRequest& request, unsigned most) noexcept {
    bool enough = false;
    {
        const std::scoped_lock held{mutex_};
        enough = waiting_count_ < idle_;
    }
    if (!enough && threads_.size() < most)
        add_thread();
    if (threads_.empty())
        return false;
    {
        const std::scoped_lock held{mutex_};
        waiting_.push(request);
        ++waiting_count_;
    }
    work_.notify_one();
    return true;
}

void BlockPool::take_done(BlockRequestList& to) noexcept {
    const std::scoped_lock held{mutex_};
    to.splice(done_);
}

bool BlockPool::any_done() noexcept {
    const std::scoped_lock held{mutex_};
    return !done_.empty();
}

// Not tried again once it failed: a guest can ask for it with each request.
void BlockPool::add_thread() noexcept {
    if (no_more_)
        return;
    const SignalsBlocked blocked;
    try {
        threads_.emplace_back([this] { run(); });
        ::pthread_setname_np(threads_.back().native_handle(), "disk-pool");
    } catch (const std::system_error& error) {
        log::warn("cannot start a thread for disk I/O: ",
                  record_of(no_thread(error.code().value())));
        no_more_ = true;
    }
}

void BlockPool::run() noexcept {
    const FaultStack stack;
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
