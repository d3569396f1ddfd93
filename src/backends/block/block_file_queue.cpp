// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_file_queue.hpp"

#include <poll.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <utility>

#include "backends/block/block_ring.hpp"
#include "vmm/assert.hpp"
#include "vmm/log.hpp"

namespace vmm {
namespace {

using Kind = BlockRequest::Kind;

constexpr unsigned kThreadsForAll = 4;   // without io_uring
constexpr unsigned kThreadsForRest = 1;  // beside it

bool moves_data(const BlockRequest& request) noexcept {
    return request.kind == Kind::Read || request.kind == Kind::Write;
}

/// Short enough for the thread that everything else waits for.
bool short_enough(const BlockRequest& request) noexcept {
    return request.length <= BlockIo::kMaxPiece;
}

bool frees_or_zeroes(const BlockRequest& request) noexcept {
    return request.kind == Kind::Discard || request.kind == Kind::WriteZeroes;
}

/// One line for the whole process: it concerns every disk alike.
void say_no_ring(const Error& why) {
    static std::atomic<bool> said{false};
    if (!said.exchange(true))
        log::warn("io_uring cannot be used (", why.one_line(),
                  "): disks are served by threads, which is slower");
}

}  // namespace

Result<std::unique_ptr<BlockFileQueue>> BlockFileQueue::create(int fd, const Options& options,
                                                               std::unique_ptr<BlockCalls> calls) {
    auto event = VMM_TRY(EventFd::create());
    if (calls == nullptr)
        calls = std::make_unique<KernelBlockCalls>(fd, options.cached_fd);
    return std::unique_ptr<BlockFileQueue>{
        new BlockFileQueue{fd, options, std::move(calls), std::move(event)}};
}

BlockFileQueue::BlockFileQueue(int fd, const Options& options, std::unique_ptr<BlockCalls> calls,
                               EventFd event)
    : fd_{fd},
      options_{options},
      calls_{std::move(calls)},
      event_{std::move(event)},
      io_{*calls_, options.traits},
      try_ring_{options.io_uring} {
    if (options.traits.partial_units)
        gate_.emplace(options.traits.file_unit, options.depth);
}

BlockFileQueue::~BlockFileQueue() {
    VMM_ASSERT(outstanding_ == 0);
}

void BlockFileQueue::submit(BlockRequest& request) noexcept {
    request.error = 0;
    batch_.push(request);
    ++outstanding_;
}

void BlockFileQueue::commit() noexcept {
    start_cancel();
    if (batch_.empty())
        return;
    const bool alone = batch_.single() && outstanding_ == 1;
    while (BlockRequest* const request = batch_.pop())
        if (!gate_ || gate_->enter(*request))
            begin(*request, alone);
    start_ring();
    rested_ = false;
}

void BlockFileQueue::begin(BlockRequest& request, bool alone) noexcept {
    const bool by_us = moves_data(request) && short_enough(request);
    if (options_.traits.memory && (by_us || request.kind == Kind::Flush))
        perform(request);
    else if (!by_us || (!write_to_cache(request) && (!alone || !do_alone(request))))
        dispatch(request);
}

// True if it is done.
bool BlockFileQueue::do_alone(BlockRequest& request) noexcept {
    if (!io_.straight(request))
        return false;
    if (rested_) {
        perform(request);
        return true;
    }
    if (request.kind != Kind::Read || !cached(request) || !io_.try_read(request))
        return false;
    ++counts_.alone;
    done_.push(request);
    return true;
}

// True if it is done.
bool BlockFileQueue::write_to_cache(BlockRequest& request) noexcept {
    if (request.kind != Kind::Write || !cached(request) || !io_.straight(request))
        return false;
    if (slow_writes_ > 0) {
        --slow_writes_;
        return false;
    }
    const auto start = std::chrono::steady_clock::now();
    perform(request);
    if (std::chrono::steady_clock::now() - start > options_.slow_write)
        slow_writes_ = kAfterSlowWrite;
    return true;
}

void BlockFileQueue::perform(BlockRequest& request) noexcept {
    io_.perform(request, scratch_);
    ++counts_.alone;
    done_.push(request);
}

void BlockFileQueue::dispatch(BlockRequest& request) noexcept {
    if (frees_or_zeroes(request) || !io_.straight(request) || !ring_usable()) {
        to_pool(request);
        return;
    }
    if (ring_->full())
        start_ring();
    if (!try_ring_) {
        to_pool(request);
        return;
    }
    ++counts_.ring;
    ring_->prepare(request);
}

void BlockFileQueue::prepare() noexcept {
    if (!try_ring_ || ring_ != nullptr)
        return;
    auto made = BlockRing::create(fd_, event_, options_.depth);
    if (made)
        ring_ = *std::move(made);
    else
        give_up_ring(made.error());
}

void BlockFileQueue::give_up_ring(const Error& why) noexcept {
    say_no_ring(why);
    try_ring_ = false;
    ring_.reset();
}

bool BlockFileQueue::ring_usable() noexcept {
    if (!try_ring_ || ring_enabled_)
        return try_ring_;
    prepare();
    if (ring_ == nullptr)
        return false;
    if (const auto enabled = ring_->enable(); !enabled)
        give_up_ring(enabled.error());
    ring_enabled_ = try_ring_;
    return try_ring_;
}

void BlockFileQueue::start_ring() noexcept {
    if (!ring_enabled_ || !try_ring_)
        return;
    BlockRequestList refused;
    ring_->start(refused);
    if (refused.empty())
        return;
    try_ring_ = false;
    while (BlockRequest* const request = refused.pop())
        to_pool(*request);
}

void BlockFileQueue::to_pool(BlockRequest& request) noexcept {
    if (pool_ == nullptr)
        pool_ = std::make_unique<BlockPool>(io_, event_, kThreadsForAll);
    if (pool_->put(request, try_ring_ ? kThreadsForRest : kThreadsForAll))
        ++counts_.pool;
    else
        perform(request);
}

BlockRequest* BlockFileQueue::reap() noexcept {
    if (outstanding_ == 0)
        return nullptr;
    BlockRequest* request = done_.pop();
    while (request == nullptr && ring_enabled_ && reap_ring())
        request = done_.pop();
    if (request == nullptr && pool_ != nullptr) {
        BlockRequestList refused;
        pool_->take_done(done_, refused);
        while (BlockRequest* const left = refused.pop())
            perform(*left);
        request = done_.pop();
    }
    if (request != nullptr)
        give_back(*request);
    if (ring_enabled_ && ring_->prepared())  // next pieces, and what had to wait
        start_ring();
    return request;
}

void BlockFileQueue::give_back(const BlockRequest& request) noexcept {
    --outstanding_;
    if (!gate_)
        return;
    gate_->leave(request);
    while (BlockRequest* const waited = gate_->next())
        begin(*waited, false);
}

// True if the ring had something, which may still not be the end of it.
bool BlockFileQueue::reap_ring() noexcept {
    const auto [request, result] = ring_->reap();
    if (request == nullptr)
        return false;
    if (result > 0 && moves_data(*request)) {
        const auto moved = static_cast<std::uint64_t>(result);
        const bool whole = moved == BlockIo::next_piece(*request).bytes;
        if (!BlockIo::advance(*request, moved)) {
            if (whole && !BlockIo::cancelled(*request))
                dispatch(*request);  // the next piece
            else
                to_pool(*request);  // the rest of it
            return true;
        }
    }
    if (result == -EINTR || result == -EAGAIN || result == -ENOMEM || result == -ECANCELED) {
        to_pool(*request);  // which waits for what there was too little of, or sees why to end
        return true;
    }
    if (result < 0)
        request->error = -result;
    else if (result == 0 && moves_data(*request) && request->length > 0)
        request->error = EIO;  // the file ends here
    if (request->durable || request->kind == Kind::Flush)
        request->error = io_.stable(request->kind, request->error);
    done_.push(*request);
    return true;
}

void BlockFileQueue::cancel(BlockRequest& request) noexcept {
    BlockIo::cancel(request);
    cancelling_ = true;
}

// All in the ring are given back, also those that nobody cancelled: the pool then does these.
void BlockFileQueue::start_cancel() noexcept {
    if (!cancelling_) [[likely]]
        return;
    cancelling_ = false;
    if (!ring_enabled_ || !try_ring_)
        return;
    if (ring_->full())
        start_ring();
    if (!try_ring_)
        return;
    ring_->prepare_cancel();
    start_ring();
}

bool BlockFileQueue::arm() noexcept {
    if (outstanding_ == 0) {
        rested_ = true;
        return false;
    }
    if (!done_.empty() || (ring_enabled_ && ring_->arm()) ||
        (pool_ != nullptr && pool_->any_done()))
        return true;
    rested_ = true;
    return false;
}

void BlockFileQueue::wait() noexcept {
    VMM_ASSERT(outstanding_ > 0);
    start_cancel();
    event_.drain();
    while (!arm()) {
        pollfd asked{.fd = event_.fd(), .events = POLLIN, .revents = 0};
        if (::poll(&asked, 1, -1) == 1)
            event_.drain();
    }
}

}  // namespace vmm
