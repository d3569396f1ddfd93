// SPDX-License-Identifier: Apache-2.0
// What a disk needs from the host: whole requests, done later, in any order.
//
// Offsets and lengths are bytes. A backend does a request whole or fails it: interrupted calls and
// short reads or writes are its own affair. A read beyond the end of the medium fails.
// Payload moves straight between the iovecs (guest RAM) and the medium; nobody interprets it.
//
// An I/O thread uses its queue like this:
//
//     queue.submit(a); queue.submit(b); ... queue.commit();
//     do
//         while (BlockRequest* done = queue.reap()) ...
//     while (queue.arm());
//     // sleep until completion_fd() is signalled (edge triggered: never read it), then reap again
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "vmm/error.hpp"

namespace vmm {

/// Belongs to who makes it, at one place in memory; to the backend from submit() until reap() gives
/// it back. What the backend makes of offset, length and iovecs meanwhile is its own affair.
struct BlockRequest {
    enum class Kind : std::uint8_t {
        Read,
        Write,
        Flush,        ///< every write that was given back before is on stable storage after it
        Discard,      ///< the range may read as anything until it is written again
        WriteZeroes,  ///< the range reads as zeroes
    };

    Kind kind = Kind::Read;
    bool durable = false;    ///< on stable storage when it is given back
    bool unmap = false;      ///< WriteZeroes may free the space
    int error = 0;           ///< the answer: 0 or an errno; EOPNOTSUPP: this medium cannot do it
    bool cancelled = false;  ///< cancel() was called: nobody waits for the answer
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::span<iovec> iovecs;  ///< Read and Write: `length` bytes in all

    BlockRequest* next = nullptr;  ///< the backend's
};

/// First in, first out; owns nothing.
class BlockRequestList {
public:
    bool empty() const noexcept { return first_ == nullptr; }
    void push(BlockRequest& request) noexcept {
        request.next = nullptr;
        *(first_ == nullptr ? &first_ : &last_->next) = &request;
        last_ = &request;
    }
    BlockRequest* front() const noexcept { return first_; }
    BlockRequest* pop() noexcept {
        BlockRequest* const taken = first_;
        if (taken != nullptr)
            first_ = taken->next;
        return taken;
    }
    /// Appends all of `other`.
    void splice(BlockRequestList& other) noexcept {
        if (other.first_ == nullptr)
            return;
        *(first_ == nullptr ? &first_ : &last_->next) = other.first_;
        last_ = other.last_;
        other.first_ = nullptr;
    }
    /// Exactly one.
    bool single() const noexcept { return first_ != nullptr && first_->next == nullptr; }

private:
    BlockRequest* first_ = nullptr;
    BlockRequest* last_ = nullptr;  // of no meaning while empty
};

struct BlockInfo {
    std::string name;  ///< for log records
    std::uint64_t size = 0;
    std::uint32_t logical_block = 512;    ///< offsets and lengths must be multiples of it
    std::uint32_t physical_block = 4096;  ///< what is best for speed
    std::uint32_t discard_block = 4096;   ///< Discard frees whole ones of these
    bool readonly = false;
    bool can_discard = false;
    bool can_unmap_zeroes = false;  ///< WriteZeroes with `unmap` frees space
};

/// The requests of one I/O thread. One thread at a time; destroyed only when nothing is
/// outstanding.
class BlockQueue {
public:
    virtual ~BlockQueue() = default;

    /// Takes from the host what a confined I/O thread may not take any more. On the thread that
    /// made the queue, before the first request; without it everything works, perhaps slower.
    virtual void prepare() noexcept {}

    /// Takes it on; it may start only with commit().
    virtual void submit(BlockRequest& request) noexcept = 0;
    /// Starts what was submitted, as a batch. May do short work on the spot.
    virtual void commit() noexcept = 0;
    /// One that is done, or null. No system call while there is nothing new.
    virtual BlockRequest* reap() noexcept = 0;

    /// Asks it to end as soon as it can, done or not; it still comes back by reap(). What was not
    /// begun is not begun any more, what is large ends within a piece. Works from the next commit()
    /// or wait() on, so that many are cancelled together.
    virtual void cancel(BlockRequest& request) noexcept = 0;

    /// Asks for a signal at the next completion; true if there is one already, so reap again.
    [[nodiscard]] virtual bool arm() noexcept = 0;
    /// Readable at some time after arm() gave false and something was done.
    virtual int completion_fd() const noexcept = 0;
    /// Blocks until reap() gives something. Something must be outstanding.
    virtual void wait() noexcept = 0;
};

/// A medium. Outlives its queues.
class BlockBackend {
public:
    virtual ~BlockBackend() = default;

    /// As found when it was opened.
    virtual const BlockInfo& info() const noexcept = 0;
    /// Its size now. Any thread.
    virtual Result<std::uint64_t> current_size() const = 0;

    /// With room for `depth` requests outstanding.
    virtual Result<std::unique_ptr<BlockQueue>> make_queue(unsigned depth) = 0;
};

}  // namespace vmm
