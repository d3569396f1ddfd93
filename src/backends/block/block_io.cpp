// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_io.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "vmm/assert.hpp"
#include "vmm/direct_calls.hpp"

namespace vmm {
namespace {

using Kind = BlockRequest::Kind;

/// Calls until it is not interrupted; 0 or errno.
template <class Call>
int retry(Call&& call) noexcept {
    while (call() != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

bool multiple(std::uint64_t value, std::size_t unit) noexcept {
    return value % unit == 0;
}

int durable_flags(const BlockRequest& request) noexcept {
    return request.durable && request.kind == Kind::Write ? RWF_DSYNC : 0;
}

bool not_supported(int error) noexcept {
    return error == EOPNOTSUPP || error == ENOSYS || error == ENOTTY || error == EINVAL;
}

/// Copies between the request's next `bytes` and memory of ours; the request stays where it is.
void copy(const BlockRequest& request, std::byte* ours, std::size_t bytes) noexcept {
    for (const iovec& piece : request.iovecs) {
        const std::size_t count = std::min(bytes, piece.iov_len);
        if (request.kind == Kind::Read)
            std::memcpy(piece.iov_base, ours, count);
        else
            std::memcpy(ours, piece.iov_base, count);
        ours += count;
        bytes -= count;
        if (bytes == 0)
            return;
    }
}

}  // namespace

ssize_t KernelBlockCalls::read(std::span<const iovec> to, std::uint64_t offset,
                               int flags) noexcept {
    const auto at = static_cast<off_t>(offset);
    if (to.size() == 1 && flags == 0)
        return direct::pread(fd_, to.front().iov_base, to.front().iov_len, at);
    return ::preadv2(fd_, to.data(), static_cast<int>(to.size()), at, flags);
}

ssize_t KernelBlockCalls::write(std::span<const iovec> from, std::uint64_t offset,
                                int flags) noexcept {
    const auto at = static_cast<off_t>(offset);
    if (from.size() == 1 && flags == 0)
        return direct::pwrite(fd_, from.front().iov_base, from.front().iov_len, at);
    return ::pwritev2(fd_, from.data(), static_cast<int>(from.size()), at, flags);
}

ssize_t KernelBlockCalls::write_cached(std::span<const std::byte> from,
                                       std::uint64_t offset) noexcept {
    iovec piece{const_cast<std::byte*>(from.data()), from.size()};
    return ::pwritev2(cached_fd_, &piece, 1, static_cast<off_t>(offset), RWF_DSYNC);
}

std::uint64_t KernelBlockCalls::size() noexcept {
    struct stat status {};
    if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode))
        return std::numeric_limits<std::uint64_t>::max();
    return static_cast<std::uint64_t>(status.st_size);
}

int KernelBlockCalls::flush() noexcept {
    return ::fdatasync(fd_);
}

int KernelBlockCalls::fallocate(int mode, std::uint64_t offset, std::uint64_t length) noexcept {
    return ::fallocate(fd_, mode, static_cast<off_t>(offset), static_cast<off_t>(length));
}

int KernelBlockCalls::block_ioctl(unsigned long request, std::uint64_t offset,
                                  std::uint64_t length) noexcept {
    std::array<std::uint64_t, 2> range{offset, length};
    return ::ioctl(fd_, request, range.data());
}

std::span<std::byte> BlockScratch::get() noexcept {
    if (memory_ == nullptr)
        memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, kSize)));
    if (memory_ == nullptr)
        return {};
    return {memory_.get(), kSize};
}

void BlockIo::perform(BlockRequest& request, BlockScratch& scratch) noexcept {
    if (cancelled(request)) [[unlikely]] {
        request.error = ECANCELED;
        return;
    }
    switch (request.kind) {
        case Kind::Read:
        case Kind::Write:
            request.error = straight(request) ? transfer(request) : bounce(request, scratch);
            if (request.durable)
                request.error = stable(request.kind, request.error);
            return;
        case Kind::Flush:
            request.error = flush();
            return;
        case Kind::Discard:
            request.error = discard(request);
            break;
        case Kind::WriteZeroes:
            request.error = write_zeroes(request, scratch);
            break;
    }
    if (request.error == 0 && request.durable)
        request.error = flush();
}

bool BlockIo::straight(const BlockRequest& request) const noexcept {
    if (!traits_.direct)
        return true;
    return multiple(request.offset, traits_.file_unit) &&
           std::ranges::all_of(request.iovecs, [&](const iovec& piece) {
               return multiple(reinterpret_cast<std::uintptr_t>(piece.iov_base),
                               traits_.memory_unit) &&
                      multiple(piece.iov_len, traits_.file_unit);
           });
}

BlockPiece BlockIo::next_piece(const BlockRequest& request) noexcept {
    if (request.length <= kMaxPiece)
        return {.iovecs = request.iovecs, .bytes = request.length};
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (; bytes + request.iovecs[count].iov_len <= kMaxPiece; ++count)
        bytes += request.iovecs[count].iov_len;
    if (count > 0)
        return {.iovecs = request.iovecs.first(count), .bytes = bytes};
    return {.iovecs = request.iovecs.first(1), .bytes = kMaxPiece};
}

void BlockIo::cancel(BlockRequest& request) noexcept {
    std::atomic_ref{request.cancelled}.store(true, std::memory_order_relaxed);
}

bool BlockIo::cancelled(const BlockRequest& request) noexcept {
    // atomic_ref of a const object comes with C++26.
    return std::atomic_ref{const_cast<bool&>(request.cancelled)}.load(std::memory_order_relaxed);
}

bool BlockIo::advance(BlockRequest& request, std::uint64_t bytes) noexcept {
    request.offset += bytes;
    request.length -= bytes;
    while (bytes > 0) {
        iovec& first = request.iovecs.front();
        if (bytes < first.iov_len) {
            first.iov_base = static_cast<std::byte*>(first.iov_base) + bytes;
            first.iov_len -= bytes;
            break;
        }
        bytes -= first.iov_len;
        request.iovecs = request.iovecs.subspan(1);
    }
    return request.length == 0;
}

bool BlockIo::try_read(BlockRequest& request) noexcept {
    VMM_ASSERT(request.kind == Kind::Read);  // or a write would come out as a read
    const ssize_t count = calls_.read(request.iovecs, request.offset, RWF_NOWAIT);
    if (count <= 0)
        return false;
    request.error = 0;
    return advance(request, static_cast<std::uint64_t>(count));
}

int BlockIo::transfer(BlockRequest& request) noexcept {
    const int flags = durable_flags(request);
    while (request.length > 0) {
        if (cancelled(request))
            return ECANCELED;
        const BlockPiece piece = next_piece(request);
        const iovec part{piece.iovecs.front().iov_base, piece.bytes};
        const std::span<const iovec> iovecs =
            piece.iovecs.size() == 1 ? std::span{&part, 1} : piece.iovecs;
        const ssize_t count = request.kind == Kind::Read
                                  ? calls_.read(iovecs, request.offset, 0)
                                  : calls_.write(iovecs, request.offset, flags);
        if (count > 0) {
            advance(request, static_cast<std::uint64_t>(count));
            continue;
        }
        if (count == 0)
            return EIO;  // the file ends here: somebody cut it off under the guest
        if (errno != EINTR)
            return errno;
    }
    return 0;
}

/// What of a request fits into memory of ours, with the whole units of the file that it touches.
struct BlockIo::Part {
    std::uint64_t start = 0;  ///< of the first unit
    std::size_t before = 0;   ///< bytes of that which are not of the request
    std::size_t bytes = 0;    ///< of the request
    std::size_t units = 0;    ///< bytes of the units together

    std::uint64_t offset() const noexcept { return start + before; }
};

BlockIo::Part BlockIo::part_of(std::uint64_t offset, std::uint64_t length) const noexcept {
    const std::size_t unit = traits_.direct ? traits_.file_unit : 1;
    Part part;
    part.before = offset % unit;
    part.start = offset - part.before;
    part.bytes = std::min<std::uint64_t>(length, BlockScratch::kSize - part.before);
    part.units = (part.before + part.bytes + unit - 1) / unit * unit;
    return part;
}

// Through a bounce buffer, a piece at a time.
int BlockIo::bounce(BlockRequest& request, BlockScratch& scratch) noexcept {
    const auto ours = scratch.get();
    if (ours.empty())
        return ENOMEM;
    const int flags = durable_flags(request);
    while (request.length > 0) {
        if (cancelled(request))
            return ECANCELED;
        Part part = part_of(request.offset, request.length);
        const int error =
            request.kind == Kind::Read
                ? read_units(ours.first(part.units), part.start, part.before + part.bytes)
                : write_part(part, ours, flags,
                             [&](std::span<std::byte> to) { copy(request, to.data(), to.size()); });
        if (error != 0)
            return error;
        if (request.kind == Kind::Read)
            copy(request, ours.data() + part.before, part.bytes);
        advance(request, part.bytes);
    }
    return 0;
}

// The file may end within the last unit, after the `needed` bytes.
int BlockIo::read_units(std::span<std::byte> to, std::uint64_t offset,
                        std::size_t needed) noexcept {
    const std::size_t unit = traits_.direct ? traits_.file_unit : 1;
    std::size_t have = 0;
    while (have < needed) {
        const std::size_t from = have / unit * unit;
        const iovec piece{to.data() + from, to.size() - from};
        const ssize_t count = calls_.read({&piece, 1}, offset + from, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno;
        const std::size_t now = from + static_cast<std::size_t>(count);
        if (now <= have)
            return EIO;  // the file ends here
        have = now;
    }
    return 0;
}

// What the first and the last unit hold beside the part, which is then written with them.
int BlockIo::read_edges(const Part& part, std::span<std::byte> ours) noexcept {
    const std::size_t unit = traits_.file_unit;
    const std::size_t last = part.units - unit;
    const bool whole_at_end = part.before + part.bytes == part.units;
    if (part.before != 0)
        if (const int error = read_units(ours.first(unit), part.start, unit))
            return error;
    if (whole_at_end || (last == 0 && part.before != 0))
        return 0;
    return read_units(ours.subspan(last, unit), part.start + last, unit);
}

// A file may end within a unit, which O_DIRECT can read but not write without making the file
// longer. So what is in there goes through the page cache, and is on stable storage after it: a
// flush of a disk without a cache has nothing to do with it.
int BlockIo::write_last(std::span<const std::byte> from, std::uint64_t offset) noexcept {
    while (!from.empty()) {
        const ssize_t count = calls_.write_cached(from, offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : EIO;
        offset += static_cast<std::uint64_t>(count);
        from = from.subspan(static_cast<std::size_t>(count));
    }
    return 0;
}

// Writes what `fill` puts into memory of ours. Less than asked for, in part.bytes, if the file ends
// within the last unit: that comes next then.
template <class Fill>
int BlockIo::write_part(Part& part, std::span<std::byte> ours, int flags, Fill&& fill) noexcept {
    const bool whole_at_end = part.before + part.bytes == part.units;
    if (!whole_at_end) {
        const std::uint64_t size = calls_.size();
        const std::uint64_t units_end = size / traits_.file_unit * traits_.file_unit;
        if (part.start + part.units > size && part.offset() < units_end)
            part = part_of(part.offset(), units_end - part.offset());
        else if (part.start + part.units > size) {
            fill(ours.first(part.bytes));
            return write_last(ours.first(part.bytes), part.offset());
        }
    }
    if (part.bytes != part.units)
        if (const int error = read_edges(part, ours))
            return error;
    fill(ours.subspan(part.before, part.bytes));
    return move_piece(Kind::Write, {ours.data(), part.units}, part.start, flags);
}

int BlockIo::move_piece(Kind kind, iovec piece, std::uint64_t offset, int flags) noexcept {
    BlockRequest part{
        .kind = kind, .offset = offset, .length = piece.iov_len, .iovecs = {&piece, 1}};
    part.durable = flags != 0;
    return transfer(part);
}

int BlockIo::flush() noexcept {
    return stable(Kind::Flush, retry([&] { return calls_.flush(); }));
}

// A full disk may also refuse a write before any of it is in the cache; only EIO tells for certain
// that something was lost.
int BlockIo::stable(Kind kind, int error) noexcept {
    if (traits_.direct)
        return error;
    if (error == EIO || (error != 0 && kind == Kind::Flush)) {
        int none = 0;
        lost_.compare_exchange_strong(none, error, std::memory_order_relaxed);
    }
    return error != 0 ? error : lost_.load(std::memory_order_relaxed);
}

// Only the whole units in the range, since a discard is a hint. A piece of the range at a time.
int BlockIo::discard(const BlockRequest& request) noexcept {
    const std::uint64_t unit = traits_.discard_unit;
    const std::uint64_t end = (request.offset + request.length) / unit * unit;
    std::uint64_t from = (request.offset + unit - 1) / unit * unit;
    while (from < end) {
        if (cancelled(request))
            return ECANCELED;
        const std::uint64_t to = std::min(end, (from / kMaxRange + 1) * kMaxRange);
        const int error = retry([&] {
            if (traits_.block_device)
                return calls_.block_ioctl(BLKDISCARD, from, to - from);
            return calls_.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from);
        });
        if (error != 0)
            return error == ENOSYS || error == ENOTTY ? EOPNOTSUPP : error;
        from = to;
    }
    return 0;
}

// The kernel zeroes a device beside its page cache. A write to the other part of a page that is
// zeroed in part may read that page from the device before and write it back after, since many
// kernels do not keep the two apart: what was to be zero is as it was. So the ends of a range go
// through the cache, as that write does.
int BlockIo::write_zeroes(const BlockRequest& request, BlockScratch& scratch) noexcept {
    const std::uint64_t unit = traits_.zero_unit;
    const std::uint64_t end = request.offset + request.length;
    std::uint64_t from = (request.offset + unit - 1) / unit * unit;
    const std::uint64_t whole_end = end / unit * unit;
    if (from >= whole_end)
        return zeroes_by_hand(request, request.offset, end, scratch);
    if (const int error = zeroes_by_hand(request, request.offset, from, scratch))
        return error;
    while (from < whole_end) {
        if (cancelled(request))
            return ECANCELED;
        const std::uint64_t to = std::min(whole_end, (from / kMaxRange + 1) * kMaxRange);
        int error = zeroes_by_kernel(from, to - from, request.unmap);
        if (not_supported(error))
            error = zeroes_by_hand(request, from, to, scratch);
        if (error != 0)
            return error;
        from = to;
    }
    return zeroes_by_hand(request, whole_end, end, scratch);
}

int BlockIo::zeroes_by_kernel(std::uint64_t from, std::uint64_t bytes, bool unmap) noexcept {
    if (unmap) {
        const int error = retry([&] {
            return calls_.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, bytes);
        });
        if (!not_supported(error))
            return error;
    }
    return retry([&] {
        if (traits_.block_device)
            return calls_.block_ioctl(BLKZEROOUT, from, bytes);
        return calls_.fallocate(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, from, bytes);
    });
}

// `request` is what may be cancelled.
int BlockIo::zeroes_by_hand(const BlockRequest& request, std::uint64_t from, std::uint64_t to,
                            BlockScratch& scratch) noexcept {
    if (from == to)
        return 0;
    const auto ours = scratch.get();
    if (ours.empty())
        return ENOMEM;
    while (from < to) {
        if (cancelled(request))
            return ECANCELED;
        Part part = part_of(from, to - from);
        if (const int error = write_part(part, ours, 0, [](std::span<std::byte> zeroes) {
                std::ranges::fill(zeroes, std::byte{0});
            }))
            return error;
        from += part.bytes;
    }
    return 0;
}

}  // namespace vmm
