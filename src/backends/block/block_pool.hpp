// SPDX-License-Identifier: Apache-2.0
// Threads that do disk requests by waiting for them: all of them where io_uring cannot be had, and
// the odd ones (discard, zeroes, buffers that do not suit O_DIRECT) where it can.
//
// Threads start when there is work for them. put() and take_done() are for the owner's thread.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "backends/block/block_io.hpp"
#include "vmm/block_backend.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/mutex.hpp"
#include "vmm/thread_desk.hpp"

namespace vmm {

class BlockPool {
public:
    /// `io` and `done` outlive the pool; `done` is signalled at each completion. Never more than
    /// `room` threads.
    BlockPool(BlockIo& io, const EventFd& done, unsigned room);
    /// Waits for what is being done.
    ~BlockPool();
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    /// With `most` threads, as far as they are needed. False if there is no thread and none can be
    /// had: nothing was taken.
    [[nodiscard]] bool put(BlockRequest& request, unsigned most) noexcept;
    /// Moves what is done to the end of `to`, and to the end of `refused` what was taken for
    /// threads that the host then would not give.
    void take_done(BlockRequestList& to, BlockRequestList& refused) noexcept;
    bool any_done() noexcept;

private:
    void add_thread() noexcept;
    void thread_refused(const Error& error) noexcept;
    bool given_up() const noexcept { return threads_ == 0 && no_more_; }  // with mutex_ held
    void run() noexcept;
    BlockRequest* next() noexcept;

    BlockIo& io_;
    const EventFd& event_;
    // Ordered one after the other, by the thread that calls put(); what was refused stays here.
    std::vector<std::unique_ptr<OrderedThread>> ordered_;

    RankedMutex<LockRank::BlockPool> mutex_;
    ConditionVariable work_;
    BlockRequestList waiting_;
    BlockRequestList done_;
    unsigned threads_ = 0;  // that run or will
    bool no_more_ = false;  // the host would not give another
    unsigned waiting_count_ = 0;
    unsigned idle_ = 0;  // threads that wait for work
    bool quit_ = false;
};

}  // namespace vmm
