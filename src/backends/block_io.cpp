#include "backends/block_io.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

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
        memory_.reset(static_cast<std::byte*>(std::aligned_alloc(4096, kSize)));
    if (memory_ == nullptr)
        return {};
    return {memory_.get(), kSize};
}

void BlockIo::perform(BlockRequest& request, BlockScratch& scratch) noexcept {
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
    return std::ranges::all_of(request.iovecs, [&](const iovec& piece) {
        return multiple(reinterpret_cast<std::uintptr_t>(piece.iov_base), traits_.memory_unit) &&
               multiple(piece.iov_len, traits_.file_unit);
    });
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
        const ssize_t count = request.kind == Kind::Read
                                  ? calls_.read(request.iovecs, request.offset, 0)
                                  : calls_.write(request.iovecs, request.offset, flags);
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

// Through memory of ours, a piece at a time.
int BlockIo::bounce(BlockRequest& request, BlockScratch& scratch) noexcept {
    const auto ours = scratch.get();
    if (ours.empty())
        return ENOMEM;
    const int flags = durable_flags(request);
    while (request.length > 0) {
        const auto bytes = std::min<std::uint64_t>(request.length, ours.size());
        if (request.kind == Kind::Write)
            copy(request, ours.data(), bytes);
        if (const int error = move_piece(request.kind, {ours.data(), bytes}, request.offset, flags))
            return error;
        if (request.kind == Kind::Read)
            copy(request, ours.data(), bytes);
        advance(request, bytes);
    }
    return 0;
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

int BlockIo::discard(const BlockRequest& request) noexcept {
    const int error = retry([&] {
        if (traits_.block_device)
            return calls_.block_ioctl(BLKDISCARD, request.offset, request.length);
        return calls_.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, request.offset,
                                request.length);
    });
    return error == ENOSYS || error == ENOTTY ? EOPNOTSUPP : error;
}

// The kernel zeroes a device beside its page cache. A write to the other part of a page that is
// zeroed in part may read that page from the device before and write it back after, since many
// kernels do not keep the two apart: what was to be zero is as it was. So the ends of a range go
// through the cache, as that write does.
int BlockIo::write_zeroes(const BlockRequest& request, BlockScratch& scratch) noexcept {
    const std::uint64_t page = traits_.cache_page;
    const std::uint64_t end = request.offset + request.length;
    BlockRequest whole = request;
    whole.offset = (request.offset + page - 1) / page * page;
    const std::uint64_t whole_end = end / page * page;
    if (whole.offset >= whole_end)
        return zeroes_by_hand(request.offset, end, scratch);
    whole.length = whole_end - whole.offset;
    if (const int error = zeroes_by_hand(request.offset, whole.offset, scratch))
        return error;
    if (const int error = whole_pages_of_zeroes(whole, scratch))
        return error;
    return zeroes_by_hand(whole_end, end, scratch);
}

int BlockIo::whole_pages_of_zeroes(const BlockRequest& request, BlockScratch& scratch) noexcept {
    const int error = zeroes_by_kernel(request);
    if (!not_supported(error))
        return error;
    return zeroes_by_hand(request.offset, request.offset + request.length, scratch);
}

int BlockIo::zeroes_by_kernel(const BlockRequest& request) noexcept {
    if (request.unmap) {
        const int error = retry([&] {
            return calls_.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, request.offset,
                                    request.length);
        });
        if (!not_supported(error))
            return error;
    }
    return retry([&] {
        if (traits_.block_device)
            return calls_.block_ioctl(BLKZEROOUT, request.offset, request.length);
        return calls_.fallocate(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, request.offset,
                                request.length);
    });
}

int BlockIo::zeroes_by_hand(std::uint64_t from, std::uint64_t to, BlockScratch& scratch) noexcept {
    if (from == to)
        return 0;
    const auto ours = scratch.get();
    if (ours.empty())
        return ENOMEM;
    const auto zeroes = ours.first(std::min<std::uint64_t>(to - from, ours.size()));
    std::ranges::fill(zeroes, std::byte{0});
    while (from < to) {
        const auto bytes = std::min<std::uint64_t>(to - from, zeroes.size());
        if (const int error = move_piece(Kind::Write, {zeroes.data(), bytes}, from, 0))
            return error;
        from += bytes;
    }
    return 0;
}

}  // namespace vmm
