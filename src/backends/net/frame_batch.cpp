// SPDX-License-Identifier: Apache-2.0
#include "backends/net/frame_batch.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "vmm/assert.hpp"
#include "vmm/direct_calls.hpp"
#include "vmm/log.hpp"
#include "vmm/restricted_ring.hpp"

namespace vmm {
namespace {

using Status = FrameIo::Status;

/// A negative errno, or zero.
int restrict_to_writes(io_uring& ring, int fd) noexcept {
    constexpr auto kOperations = std::array<std::uint8_t, 1>{IORING_OP_WRITE};
    const int failed = io_uring_register_files(&ring, &fd, 1);
    return failed != 0 ? failed : -restrict_ring(ring.ring_fd, kOperations);
}

bool make_ring(io_uring& ring, int fd) noexcept {
    // Completions are only looked for in the call that sends. Linux 6.1, as both flags.
    for (const unsigned flags : {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0u}) {
        int error =
            io_uring_queue_init(FrameBatch::kFrames, &ring, flags | IORING_SETUP_R_DISABLED);
        if (error == -EINVAL)
            continue;
        if (error == 0) {
            error = restrict_to_writes(ring, fd);
            if (error == 0)
                return true;
            io_uring_queue_exit(&ring);
        }
        log::debug("no io_uring for a tap: errno ", -error);
        return false;
    }
    return false;
}

/// Zero, or why the kernel does not take the frame.
int write_whole(int fd, std::span<const std::byte> frame) noexcept {
    for (;;) {
        if (direct::write(fd, frame.data(), frame.size()) >= 0)
            return 0;
        if (errno != EINTR)
            return errno;
    }
}

}  // namespace

FrameIo tap_failure(int error) noexcept {
    switch (error) {
        case EAGAIN:
            return {.status = Status::Again};
        case EBADFD:  // the interface was deleted
        case ENODEV:
        case EBADF:
        case ENXIO:
            return {.status = Status::Gone};
        default:  // a frame that the kernel does not like, no memory, an interface that is down
            return {.status = Status::Dropped};
    }
}

FrameBatch::FrameBatch(int fd, bool io_uring)
    : fd_{fd},
      use_{io_uring ? Use::NotYet : Use::Never},
      kept_{std::make_unique_for_overwrite<Kept[]>(kFrames)} {}

FrameBatch::~FrameBatch() {
    close_ring();
}

void FrameBatch::add(std::span<const std::byte> frame) noexcept {
    VMM_ASSERT(!full() && frame.size() <= kLongest);
    Kept& kept = kept_[count_++];
    kept.size = frame.size();
    std::memcpy(kept.bytes.data(), frame.data(), frame.size());
}

FrameIo::Status FrameBatch::send() noexcept {
    const bool all_new = !std::exchange(begun_, true);
    if (all_new && count_ >= kWorth && worth_ring())
        send_by_ring();
    return send_by_write();
}

std::size_t FrameBatch::take_lost() noexcept {
    return std::exchange(lost_, 0);
}

bool FrameBatch::worth_ring() noexcept {
    if (use_ == Use::NotYet && ++worth_ > kOften)
        use_ = enable_ring() ? Use::Ring : Use::Never;
    return use_ == Use::Ring;
}

void FrameBatch::prepare() noexcept {
    if (use_ == Use::NotYet && !has_ring_)
        has_ring_ = make_ring(ring_, fd_);
    if (!has_ring_)
        use_ = Use::Never;
}

bool FrameBatch::enable_ring() noexcept {
    prepare();
    if (!has_ring_)
        return false;
    const int failed = vmm::enable_ring(ring_.ring_fd);
    if (failed == 0)
        return true;
    log::debug("no io_uring for a tap: errno ", failed);
    close_ring();
    return false;
}

void FrameBatch::close_ring() noexcept {
    use_ = Use::Never;
    if (std::exchange(has_ring_, false))
        io_uring_queue_exit(&ring_);
}

// What is not sent by the end of it is left for send_by_write().
void FrameBatch::send_by_ring() noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
        io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
        VMM_ASSERT(entry != nullptr);  // the ring has kFrames, and is empty between batches
        constexpr int kFile = 0;       // of the registered ones
        io_uring_prep_write(entry, kFile, kept_[i].bytes.data(),
                            static_cast<unsigned>(kept_[i].size), 0);
        entry->flags |= IOSQE_FIXED_FILE;
        // O_NONBLOCK does not keep io_uring from waiting.
        entry->rw_flags = RWF_NOWAIT;
        io_uring_sqe_set_data64(entry, i);
    }
    std::size_t refused = 0;
    for (std::size_t ended = 0; ended < count_;) {
        const int taken = io_uring_submit_and_wait(&ring_, static_cast<unsigned>(count_ - ended));
        if (taken < 0 && taken != -EINTR) {
            log::debug("io_uring for a tap is given up: errno ", -taken);
            close_ring();
            return;
        }
        io_uring_cqe* entry = nullptr;
        while (io_uring_peek_cqe(&ring_, &entry) == 0) {
            ++ended;
            refused += settle(io_uring_cqe_get_data64(entry), entry->res) ? 0u : 1u;
            io_uring_cq_advance(&ring_, 1);
        }
    }
    useless_ = refused == count_ ? useless_ + 1 : 0;
    // A tap without room is not the reason that often: this kernel would have to wait for a tap in
    // threads of its own.
    if (useless_ >= kUseless)
        close_ring();
}

// False: it is still to be sent.
bool FrameBatch::settle(std::size_t index, int result) noexcept {
    if (result == -EAGAIN || result == -EINTR || result == -ECANCELED || result == -EOPNOTSUPP)
        return false;
    if (result < 0) {
        const Status status = tap_failure(-result).status;
        if (status == Status::Gone)
            return false;  // write() will say so, too
        ++lost_;
    }
    kept_[index].size = 0;
    return true;
}

FrameIo::Status FrameBatch::send_by_write() noexcept {
    for (Kept& kept : std::span{kept_.get(), count_}) {
        const int error = kept.size > 0 ? write_whole(fd_, {kept.bytes.data(), kept.size}) : 0;
        const Status status = error == 0 ? Status::Done : tap_failure(error).status;
        if (status == Status::Again || status == Status::Gone)
            return status;
        lost_ += status == Status::Dropped ? 1 : 0;
        kept.size = 0;
    }
    count_ = 0;
    begun_ = false;
    return Status::Done;
}

}  // namespace vmm
