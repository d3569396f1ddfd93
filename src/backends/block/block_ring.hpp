// SPDX-License-Identifier: Apache-2.0
// io_uring for disk requests: many with one system call, on one registered file.
//
// It can do nothing but read, write, sync and cancel on that file (vmm/restricted_ring.hpp). Made
// by a thread that may make rings; belongs to the one that enable()s it. A kernel from 6.1 on runs
// completions only when this thread asks for them (DEFER_TASKRUN) and signals the eventfd only
// while it is armed; an older one does both when it likes.
#pragma once

#include <liburing.h>

#include <memory>

#include "vmm/block_backend.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"

namespace vmm {

class BlockRing {
public:
    /// Never more than `depth` requests are outstanding. `fd` and `event` outlive the ring.
    static Result<std::unique_ptr<BlockRing>> create(int fd, const EventFd& event, unsigned depth);
    ~BlockRing();
    BlockRing(const BlockRing&) = delete;
    BlockRing& operator=(const BlockRing&) = delete;

    /// Once, on the thread that will use it, before anything below.
    Result<> enable() noexcept;

    /// No room for another prepare() before start().
    bool full() const noexcept { return prepared_ == ring_.sq.ring_entries; }
    /// Read, Write or Flush; starts with start(). Of a large one the next piece
    /// (BlockIo::next_piece()).
    void prepare(BlockRequest& request) noexcept;
    /// What the kernel has not begun yet, it gives back with ECANCELED. Starts with start().
    /// Kernels before 5.19 finish all.
    void prepare_cancel() noexcept;
    bool prepared() const noexcept { return prepared_ > 0; }
    /// One system call for all that was prepared. What the kernel will not take comes back in
    /// `refused`; the ring should then be used for reaping only.
    void start(BlockRequestList& refused) noexcept;

    struct Completion {
        BlockRequest* request = nullptr;
        int result = 0;  ///< bytes, or a negative errno
    };
    /// The next one; request is null if there is none.
    Completion reap() noexcept;

    /// True if there is something to reap already.
    [[nodiscard]] bool arm() noexcept;

private:
    BlockRing() = default;

    io_uring_sqe& free_entry() noexcept;
    bool submit() noexcept;
    bool work_pending() const noexcept;

    io_uring ring_{};
    bool made_ = false;
    bool deferred_ = false;  // DEFER_TASKRUN
    bool armed_ = true;      // the eventfd is signalled
    bool said_waiting_ = false;
    unsigned prepared_ = 0;
    int error_ = 0;  // why the kernel takes no more
};

}  // namespace vmm
