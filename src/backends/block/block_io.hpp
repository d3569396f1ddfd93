// SPDX-License-Identifier: Apache-2.0
// One disk request after the other on a file or block device, waiting for each.
//
// Handles what system calls leave over: interruptions, short reads and writes, buffers that do not
// suit O_DIRECT, file systems without holes. The asynchronous ways end here too, when the kernel
// did a part of a request only.
// Threads: any number, each with its own Scratch.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>

#include "vmm/block_backend.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

/// The system calls, so that a test can be the kernel. Each answers as the call of its name: -1 and
/// errno on failure.
class BlockCalls {
public:
    virtual ~BlockCalls() = default;

    virtual ssize_t read(std::span<const iovec> to, std::uint64_t offset, int flags) noexcept = 0;
    virtual ssize_t write(std::span<const iovec> from, std::uint64_t offset,
                          int flags) noexcept = 0;
    /// Through the page cache, where the file is open for O_DIRECT, and on stable storage after it.
    virtual ssize_t write_cached(std::span<const std::byte> from,
                                 std::uint64_t offset) noexcept = 0;
    /// Of the file now; of a device, more than any offset.
    virtual std::uint64_t size() noexcept = 0;
    virtual int flush() noexcept = 0;
    virtual int fallocate(int mode, std::uint64_t offset, std::uint64_t length) noexcept = 0;
    /// BLKDISCARD and BLKZEROOUT.
    virtual int block_ioctl(unsigned long request, std::uint64_t offset,
                            std::uint64_t length) noexcept = 0;
};

/// The kernel's own, on a descriptor that outlives this.
class KernelBlockCalls final : public BlockCalls {
public:
    /// `cached_fd` is the same file without O_DIRECT, for write_cached().
    explicit KernelBlockCalls(int fd, int cached_fd = -1) : fd_{fd}, cached_fd_{cached_fd} {}

    ssize_t read(std::span<const iovec> to, std::uint64_t offset, int flags) noexcept override;
    ssize_t write(std::span<const iovec> from, std::uint64_t offset, int flags) noexcept override;
    ssize_t write_cached(std::span<const std::byte> from, std::uint64_t offset) noexcept override;
    std::uint64_t size() noexcept override;
    int flush() noexcept override;
    int fallocate(int mode, std::uint64_t offset, std::uint64_t length) noexcept override;
    int block_ioctl(unsigned long request, std::uint64_t offset,
                    std::uint64_t length) noexcept override;

private:
    int fd_;
    int cached_fd_;
};

/// The largest unit of O_DIRECT that is met, in bytes.
inline constexpr std::uint32_t kMaxBlockUnit = 64 << 10;

/// Bounce buffer for requests that cannot go straight; made when it is needed for the first time.
class BlockScratch {
public:
    static constexpr std::size_t kSize = 256 << 10;  ///< bytes
    static constexpr std::size_t kAlignment = kMaxBlockUnit;

    /// Aligned for any host; empty when that has no memory.
    std::span<std::byte> get() noexcept;

private:
    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };
    std::unique_ptr<std::byte, Free> memory_;
};

/// What the file is like.
struct BlockTraits {
    bool block_device = false;
    bool direct = false;          ///< opened with O_DIRECT
    bool memory = false;          ///< tmpfs and its like: nothing waits for a disk
    std::size_t memory_unit = 1;  ///< O_DIRECT: buffers start at multiples of it
    std::size_t file_unit = 1;    ///< O_DIRECT: lengths and offsets are multiples of it
    /// Requests may be of less than file_unit, or begin and end within one: read-modify-write.
    bool partial_units = false;
    /// The kernel zeroes whole ones only; what is less is written. Of a device: its logical blocks,
    /// and behind the page cache the pages of that.
    std::size_t zero_unit = 1;
    std::size_t discard_unit = 1;  ///< the kernel discards whole ones only
};

/// What goes to the kernel with one call: whole buffers, or a part of one.
struct BlockPiece {
    std::span<const iovec> iovecs;
    std::size_t bytes = 0;  ///< less than their sum only if there is one
};

class BlockIo {
public:
    BlockIo(BlockCalls& calls, BlockTraits traits) : calls_{calls}, traits_{traits} {}

    const BlockTraits& traits() const noexcept { return traits_; }

    /// Does all of it and sets request.error.
    void perform(BlockRequest& request, BlockScratch& scratch) noexcept;

    /// A read, of nothing else, that does not wait for the disk. False if it would have to, or
    /// cannot promise: what is left of the request is then still to be done.
    [[nodiscard]] bool try_read(BlockRequest& request) noexcept;

    /// Bytes that the kernel gets with one call: a request can be cancelled between two.
    static constexpr std::size_t kMaxPiece = 4 << 20;
    /// The same where nothing is moved: discards, and zeroes by the kernel.
    static constexpr std::uint64_t kMaxRange = 16 << 20;
    /// The next one of what is left.
    static BlockPiece next_piece(const BlockRequest& request) noexcept;

    /// Buffers and offset can be given to the kernel as they are.
    bool straight(const BlockRequest& request) const noexcept;

    /// The answer to a flush or a durable write, given the kernel's (0 or errno): once one has
    /// failed, all fail. The kernel tells once that it could not write what is in its cache, then
    /// treats them as clean; a later flush that succeeds would be a lie.
    int stable(BlockRequest::Kind kind, int error) noexcept;

    /// `bytes` of the request are done; true if that was all.
    static bool advance(BlockRequest& request, std::uint64_t bytes) noexcept;

    /// For any thread, and cancelled() for the one that does the request.
    static void cancel(BlockRequest& request) noexcept;
    static bool cancelled(const BlockRequest& request) noexcept;

private:
    struct Part;

    int transfer(BlockRequest& request) noexcept;
    int bounce(BlockRequest& request, BlockScratch& scratch) noexcept;
    Part part_of(std::uint64_t offset, std::uint64_t length) const noexcept;
    int read_units(std::span<std::byte> to, std::uint64_t offset, std::size_t needed) noexcept;
    int read_edges(const Part& part, std::span<std::byte> ours) noexcept;
    int write_last(std::span<const std::byte> from, std::uint64_t offset) noexcept;
    template <class Fill>
    int write_part(Part& part, std::span<std::byte> ours, int flags, Fill&& fill) noexcept;
    int move_piece(BlockRequest::Kind kind, iovec piece, std::uint64_t offset, int flags) noexcept;
    int discard(const BlockRequest& request) noexcept;
    int write_zeroes(const BlockRequest& request, BlockScratch& scratch) noexcept;
    int zeroes_by_kernel(std::uint64_t from, std::uint64_t bytes, bool unmap) noexcept;
    int zeroes_by_hand(const BlockRequest& request, std::uint64_t from, std::uint64_t to,
                       BlockScratch& scratch) noexcept;
    int flush() noexcept;

    BlockCalls& calls_;
    BlockTraits traits_;
    std::atomic<int> lost_{0};  // errno of the first failure to make something stable
};

}  // namespace vmm
