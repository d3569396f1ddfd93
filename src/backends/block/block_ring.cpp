// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_ring.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <utility>

#include "backends/block/block_io.hpp"
#include "vmm/assert.hpp"
#include "vmm/log.hpp"
#include "vmm/restricted_ring.hpp"

namespace vmm {
namespace {

constexpr unsigned kMaxEntries = 256;  // prepared at a time; more are outstanding all the same
constexpr unsigned kMaxCompletions = 1 << 16;  // what the kernel takes
constexpr unsigned kMaxWorkers = 16;           // of each kind
constexpr unsigned kMaxPauses = 1000;  // of a millisecond: then the kernel will take nothing
constexpr unsigned kDeferred =
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;

int set_up(io_uring& ring, unsigned depth, unsigned flags) noexcept {
    io_uring_params params{};
    // All completions fit: none is ever held back in the kernel.
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
    const unsigned most = std::max(depth + 1, kMaxEntries);  // one is prepare_cancel()'s
    params.cq_entries = std::min(std::bit_ceil(most), kMaxCompletions);
    return io_uring_queue_init_params(std::min(std::bit_ceil(depth), kMaxEntries), &ring, &params);
}

/// The kernel is short of memory for a moment.
bool passing(int error) noexcept {
    return error == EAGAIN || error == EBUSY || error == ENOMEM;
}

}  // namespace

Result<std::unique_ptr<BlockRing>> BlockRing::create(int fd, const EventFd& event, unsigned depth) {
    std::unique_ptr<BlockRing> made{new BlockRing};
    int error = set_up(made->ring_, depth, kDeferred);
    made->deferred_ = error == 0;
    if (error == -EINVAL)
        error = set_up(made->ring_, depth, 0);
    if (error != 0)
        return std::unexpected(Error::os("io_uring_setup", -error));
    made->made_ = true;
    if (const int failed = io_uring_register_eventfd(&made->ring_, event.fd()); failed != 0)
        return std::unexpected(Error::os("io_uring_register", -failed));
    if (const int failed = io_uring_register_files(&made->ring_, &fd, 1); failed != 0)
        return std::unexpected(Error::os("io_uring_register", -failed));
    // What the kernel cannot start at once it gives to threads of its own, as many as it likes.
    std::array<unsigned, 2> workers{kMaxWorkers, kMaxWorkers};
    io_uring_register_iowq_max_workers(&made->ring_, workers.data());
    constexpr auto kOperations =
        std::array<std::uint8_t, 6>{IORING_OP_READ,   IORING_OP_READV, IORING_OP_WRITE,
                                    IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_ASYNC_CANCEL};
    if (const int failed = restrict_ring(made->ring_.ring_fd, kOperations); failed != 0)
        return std::unexpected(
            Error::os("io_uring_register", failed).context("restrict what the ring may do"));
    log::debug("io_uring with room for ", depth, " requests",
               made->deferred_ ? ", completions on demand" : "");
    return made;
}

BlockRing::~BlockRing() {
    if (made_)
        io_uring_queue_exit(&ring_);
}

Result<> BlockRing::enable() noexcept {
    if (const int failed = enable_ring(ring_.ring_fd); failed != 0)
        return std::unexpected(Error::os("io_uring_register", failed));
    return {};
}

void BlockRing::prepare(BlockRequest& request) noexcept {
    io_uring_sqe& entry = free_entry();
    constexpr int fd = 0;  // of the registered files
    const BlockPiece piece = BlockIo::next_piece(request);
    const auto count = static_cast<unsigned>(piece.iovecs.size());
    const iovec* const first = piece.iovecs.data();
    const auto one = static_cast<unsigned>(piece.bytes);
    switch (request.kind) {
        case BlockRequest::Kind::Read:
            if (count == 1)
                io_uring_prep_read(&entry, fd, first->iov_base, one, request.offset);
            else
                io_uring_prep_readv(&entry, fd, first, count, request.offset);
            break;
        case BlockRequest::Kind::Write:
            if (count == 1)
                io_uring_prep_write(&entry, fd, first->iov_base, one, request.offset);
            else
                io_uring_prep_writev(&entry, fd, first, count, request.offset);
            entry.rw_flags = request.durable ? RWF_DSYNC : 0;
            break;
        default:
            io_uring_prep_fsync(&entry, fd, IORING_FSYNC_DATASYNC);
            break;
    }
    entry.flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(&entry, &request);
    ++prepared_;
}

void BlockRing::prepare_cancel() noexcept {
    io_uring_sqe& entry = free_entry();
    io_uring_prep_cancel(&entry, nullptr, IORING_ASYNC_CANCEL_ANY);
    entry.flags |= IOSQE_FIXED_FILE;  // demanded of everything
    io_uring_sqe_set_data(&entry, nullptr);
    ++prepared_;
}

io_uring_sqe& BlockRing::free_entry() noexcept {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    VMM_ASSERT(entry != nullptr);
    return *entry;
}

void BlockRing::start(BlockRequestList& refused) noexcept {
    if (prepared_ == 0 || submit())
        return;
    // What the kernel has not taken stands between its index and ours.
    const unsigned first = *ring_.sq.khead;
    const unsigned last = *ring_.sq.ktail;
    for (unsigned i = first; i != last; ++i)
        if (auto* const request =
                std::bit_cast<BlockRequest*>(ring_.sq.sqes[i & ring_.sq.ring_mask].user_data))
            refused.push(*request);
    prepared_ = 0;
    log::warn("io_uring takes no more requests (errno ", error_,
              "); this disk is served by threads from now on");
}

// True if the kernel took all.
bool BlockRing::submit() noexcept {
    unsigned pauses = 0;
    while (prepared_ > 0) {
        const int taken =
            deferred_ ? io_uring_submit_and_get_events(&ring_) : io_uring_submit(&ring_);
        if (taken > 0) {
            prepared_ -= std::min(prepared_, static_cast<unsigned>(taken));
            continue;
        }
        if (taken == -EINTR)
            continue;
        if ((taken != 0 && !passing(-taken)) || ++pauses > kMaxPauses) {
            error_ = -taken;
            return false;
        }
        if (!std::exchange(said_waiting_, true))
            log::warn("io_uring has to wait: errno ", -taken);
        const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
        ::nanosleep(&pause, nullptr);
    }
    return true;
}

bool BlockRing::work_pending() const noexcept {
    return deferred_ && (std::atomic_ref{*ring_.sq.kflags}.load(std::memory_order_relaxed) &
                         IORING_SQ_TASKRUN) != 0;
}

BlockRing::Completion BlockRing::reap() noexcept {
    if (deferred_ && armed_) {
        io_uring_cq_eventfd_toggle(&ring_, false);
        armed_ = false;
    }
    Completion result;
    while (result.request == nullptr) {  // as that of prepare_cancel() is
        io_uring_cqe* entry = nullptr;
        // Enters the kernel only if that has flagged work.
        if (io_uring_peek_cqe(&ring_, &entry) != 0 || entry == nullptr)
            return {};
        result = {.request = static_cast<BlockRequest*>(io_uring_cqe_get_data(entry)),
                  .result = entry->res};
        io_uring_cq_advance(&ring_, 1);
    }
    return result;
}

bool BlockRing::arm() noexcept {
    if (deferred_ && !armed_) {
        io_uring_cq_eventfd_toggle(&ring_, true);
        armed_ = true;
        // The kernel looks at the switch after it has said that there is work; we do the reverse.
        std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    return io_uring_cq_ready(&ring_) > 0 || work_pending();
}

}  // namespace vmm
