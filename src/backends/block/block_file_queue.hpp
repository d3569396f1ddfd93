// SPDX-License-Identifier: Apache-2.0
// The requests of one I/O thread on a file: which way each of them goes.
//
//   one alone, nothing else outstanding: this thread does it by itself, one system call. A thread
//     that finds the next request waiting when it comes back would make the guest's requests queue
//     up behind one another, so then only reads that need not wait (RWF_NOWAIT) are done that way
//   a file in memory (tmpfs): this thread always, since nothing is gained by doing it later
//   writes to the page cache: this thread. Most file systems cannot say beforehand whether such a
//     write would wait, so io_uring gives each to a worker, one after the other under the file's
//     lock. Only when one took long, since the host has too much to write back, the next ones go
//     to io_uring, so that reads do not wait behind them
//   discard, zeroes, buffers and ranges that do not suit O_DIRECT: threads of the pool
//   everything else: io_uring, a batch with one system call; the pool where there is no io_uring
//
// A request of more than BlockIo::kMaxPiece is done piece by piece, so that it can be cancelled in
// between, and never by this thread alone.
//
// Neither the ring nor the pool exists before the first request that needs it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "backends/block/block_io.hpp"
#include "backends/block/block_pool.hpp"
#include "backends/block/block_write_gate.hpp"
#include "vmm/block_backend.hpp"
#include "vmm/event_fd.hpp"

namespace vmm {

class BlockRing;

class BlockFileQueue final : public BlockQueue {
public:
    struct Options {
        BlockTraits traits;
        unsigned depth = 1;    ///< requests outstanding at most
        bool io_uring = true;  ///< false: as where the host forbids it
        int cached_fd = -1;    ///< O_DIRECT: the same file without that
        /// A write to the page cache that takes longer has waited for the host's disk.
        std::chrono::nanoseconds slow_write = std::chrono::milliseconds{2};
    };

    /// `fd` outlives the queue. `calls` as a test wants them; null: the kernel's.
    static Result<std::unique_ptr<BlockFileQueue>> create(int fd, const Options& options,
                                                          std::unique_ptr<BlockCalls> calls);
    ~BlockFileQueue() override;
    BlockFileQueue(const BlockFileQueue&) = delete;
    BlockFileQueue& operator=(const BlockFileQueue&) = delete;

    void prepare() noexcept override;
    void submit(BlockRequest& request) noexcept override;
    void commit() noexcept override;
    BlockRequest* reap() noexcept override;
    void cancel(BlockRequest& request) noexcept override;
    [[nodiscard]] bool arm() noexcept override;
    int completion_fd() const noexcept override { return event_.fd(); }
    void wait() noexcept override;

    /// How requests went, for tests and for the curious.
    struct Counts {
        unsigned alone = 0;  ///< by this thread
        unsigned ring = 0;
        unsigned pool = 0;
    };
    const Counts& counts() const noexcept { return counts_; }

    /// So many go to io_uring after a slow one.
    static constexpr unsigned kAfterSlowWrite = 64;

private:
    BlockFileQueue(int fd, const Options& options, std::unique_ptr<BlockCalls> calls,
                   EventFd event);

    void begin(BlockRequest& request, bool alone) noexcept;
    bool do_alone(BlockRequest& request) noexcept;
    bool write_to_cache(BlockRequest& request) noexcept;
    bool cached(const BlockRequest& request) const noexcept {
        return !options_.traits.direct && !request.durable;
    }
    void perform(BlockRequest& request) noexcept;
    void dispatch(BlockRequest& request) noexcept;
    void start_ring() noexcept;
    void to_pool(BlockRequest& request) noexcept;
    bool ring_usable() noexcept;
    void give_up_ring(const Error& why) noexcept;
    bool reap_ring() noexcept;
    void give_back(const BlockRequest& request) noexcept;
    void start_cancel() noexcept;

    int fd_;
    Options options_;
    std::unique_ptr<BlockCalls> calls_;
    EventFd event_;
    BlockIo io_;
    BlockScratch scratch_;
    std::optional<BlockWriteGate> gate_;

    BlockRequestList batch_;  // submitted
    BlockRequestList done_;
    unsigned outstanding_ = 0;  // submitted and not given back
    bool rested_ = true;        // nothing was waiting when this thread last looked
    bool cancelling_ = false;   // since the ring was told last
    unsigned slow_writes_ = 0;  // so many more are not done by this thread
    Counts counts_;

    bool try_ring_;  // may be had, as far as we know
    std::unique_ptr<BlockRing> ring_;
    bool ring_enabled_ = false;
    std::unique_ptr<BlockPool> pool_;  // last: its threads end before what they use
};

}  // namespace vmm
