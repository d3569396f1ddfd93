// SPDX-License-Identifier: Apache-2.0
// Requests that nobody waits for any more: what was not begun is not begun, what is large ends
// soon.
#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/block/block_file_queue.hpp"
#include "backends/block/block_test_support.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

using Kind = BlockRequest::Kind;
using test::finish;
using test::ScriptedCalls;
using testing::ElementsAre;
using testing::SizeIs;

constexpr std::size_t kMiB = 1 << 20;

/// Each call but the first few cancels the request that it is for.
class CancellingCalls final : public ScriptedCalls {
public:
    BlockRequest* request = nullptr;
    std::size_t allowed = 1;

    ssize_t read(std::span<const iovec> to, std::uint64_t offset, int flags) noexcept override {
        return counted(ScriptedCalls::read(to, offset, flags));
    }
    ssize_t write(std::span<const iovec> from, std::uint64_t offset, int flags) noexcept override {
        return counted(ScriptedCalls::write(from, offset, flags));
    }
    int fallocate(int mode, std::uint64_t offset, std::uint64_t length) noexcept override {
        return counted(ScriptedCalls::fallocate(mode, offset, length));
    }
    int block_ioctl(unsigned long what, std::uint64_t offset,
                    std::uint64_t length) noexcept override {
        return counted(ScriptedCalls::block_ioctl(what, offset, length));
    }

private:
    template <class Result>
    Result counted(Result result) {
        const int error = errno;
        if (seen.size() >= allowed)
            BlockIo::cancel(*request);
        errno = error;
        return result;
    }
};

struct BlockCancelTest : testing::Test {
    CancellingCalls calls;
    BlockScratch scratch;

    /// How it ended, cancelled during its call number `during`.
    int perform(BlockRequest request, std::size_t during = 1, const BlockTraits& traits = {}) {
        calls.request = &request;
        calls.allowed = during;
        calls.seen.clear();
        BlockIo io{calls, traits};
        io.perform(request, scratch);
        return request.error;
    }
};

TEST_F(BlockCancelTest, CancelledBeforeItBeganDoesNothing) {
    std::array<char, 512> memory{};
    iovec piece{memory.data(), memory.size()};
    for (const Kind kind : {Kind::Read, Kind::Write, Kind::Discard, Kind::WriteZeroes}) {
        BlockRequest request{.kind = kind, .length = 512};
        if (kind == Kind::Read || kind == Kind::Write)
            request.iovecs = {&piece, 1};
        BlockIo::cancel(request);
        EXPECT_EQ(perform(request), ECANCELED);
        EXPECT_THAT(calls.seen, SizeIs(0));
    }
    BlockRequest flush{.kind = Kind::Flush};
    BlockIo::cancel(flush);
    EXPECT_EQ(perform(flush), ECANCELED);
    EXPECT_THAT(calls.seen, SizeIs(0));
}

TEST_F(BlockCancelTest, LargeTransferEndsWithinAPiece) {
    calls.bytes.resize(16 * kMiB);
    std::vector<char> memory(16 * kMiB);
    std::array<iovec, 4> pieces{iovec{memory.data(), 3 * kMiB}, iovec{memory.data(), kMiB},
                                iovec{memory.data(), kMiB}, iovec{memory.data(), 11 * kMiB}};

    EXPECT_EQ(perform({.kind = Kind::Read, .length = 16 * kMiB, .iovecs = pieces}, 3), ECANCELED);

    EXPECT_THAT(calls.seen,
                ElementsAre("read 0+4194304", "read 4194304+1048576", "read 5242880+4194304"));
}

TEST_F(BlockCancelTest, DiscardAndZeroesEndWithinAPiece) {
    const BlockRequest discard{.kind = Kind::Discard, .offset = kMiB, .length = 1024 * kMiB};
    const BlockRequest zeroes{.kind = Kind::WriteZeroes, .length = 64 * kMiB};

    EXPECT_EQ(perform(discard, 2), ECANCELED);
    EXPECT_THAT(calls.seen,
                ElementsAre("fallocate 3 1048576+15728640", "fallocate 3 16777216+16777216"));
    EXPECT_EQ(perform(zeroes, 1, {.block_device = true}), ECANCELED);
    EXPECT_THAT(calls.seen, ElementsAre("zeroout 0+16777216"));
}

TEST_F(BlockCancelTest, ZeroesByHandEndWithinABuffer) {
    calls.script = {-EOPNOTSUPP};
    EXPECT_EQ(perform({.kind = Kind::WriteZeroes, .length = 64 * kMiB}, 3), ECANCELED);
    EXPECT_THAT(calls.seen,
                ElementsAre("fallocate 17 0+16777216", "write 0+262144", "write 262144+262144"));
}

TEST_F(BlockCancelTest, BouncedTransferEndsWithinABuffer) {
    std::vector<char> memory(kMiB + 1);
    calls.bytes.resize(kMiB);
    iovec piece{memory.data() + 1, kMiB};
    EXPECT_EQ(perform({.kind = Kind::Write, .length = kMiB, .iovecs = {&piece, 1}}, 2,
                      {.direct = true, .memory_unit = 512, .file_unit = 512}),
              ECANCELED);
    EXPECT_THAT(calls.seen, ElementsAre("write 0+262144", "write 262144+262144"));
}

/// A disk on which a flush takes until it is released.
class StuckCalls final : public ScriptedCalls {
public:
    int flush() noexcept override {
        std::unique_lock held{mutex_};
        begun_ = true;
        changed_.notify_all();
        changed_.wait(held, [&] { return free_; });
        return 0;
    }
    void wait_until_begun() {
        std::unique_lock held{mutex_};
        changed_.wait(held, [&] { return begun_; });
    }
    void let_go() {
        const std::scoped_lock held{mutex_};
        free_ = true;
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool begun_ = false;
    bool free_ = false;
};

TEST(BlockCancelQueueTest, WhatTheThreadsHaveNotBegunIsNotBegun) {
    auto made = std::make_unique<StuckCalls>();
    StuckCalls& calls = *made;
    const auto queue = std::move(
        BlockFileQueue::create(-1, {.depth = 64, .io_uring = false}, std::move(made)).value());
    std::array<BlockRequest, 4> flushes;
    std::array<BlockRequest, 32> discards;
    for (BlockRequest& flush : flushes) {
        flush = {.kind = Kind::Flush};
        queue->submit(flush);
    }
    queue->commit();
    calls.wait_until_begun();
    for (BlockRequest& discard : discards) {
        discard = {.kind = Kind::Discard, .length = 1024 * kMiB};
        queue->submit(discard);
    }
    queue->commit();

    for (BlockRequest& discard : discards)
        queue->cancel(discard);
    calls.let_go();
    finish(*queue, flushes.size() + discards.size());

    for (const BlockRequest& flush : flushes)
        EXPECT_EQ(flush.error, 0);
    unsigned cancelled = 0;
    for (const BlockRequest& discard : discards)
        cancelled += discard.error == ECANCELED ? 1 : 0;
    // Not more than one for each thread had been begun, and that ended within a piece.
    EXPECT_GE(cancelled, 28u);
    EXPECT_LE(calls.seen.size(), 4u);
}

/// Requests on a real file, by io_uring where there is one.
class BlockCancelRealTest : public testing::TestWithParam<bool> {
protected:
    BlockCancelRealTest() {
        std::string name = "block_cancel_XXXXXX";
        fd_ = UniqueFd{::mkstemp(name.data())};
        ::unlink(name.c_str());
        EXPECT_EQ(::ftruncate(fd_.get(), 64 * kMiB), 0);
        queue_ = std::move(
            BlockFileQueue::create(fd_.get(), {.depth = 128, .io_uring = GetParam()}, nullptr)
                .value());
    }
    /// Submits reads of 16 MiB each, into 4 MiB for each of them.
    void submit(std::span<BlockRequest> requests) {
        memory_.resize(4 * kMiB * requests.size());
        pieces_.resize(4 * requests.size());
        for (std::size_t i = 0; i < requests.size(); ++i) {
            std::ranges::fill_n(pieces_.begin() + static_cast<std::ptrdiff_t>(4 * i), 4,
                                iovec{memory_.data() + 4 * kMiB * i, 4 * kMiB});
            requests[i] = {.kind = Kind::Read,
                           .offset = 16 * kMiB,
                           .length = 16 * kMiB,
                           .iovecs = std::span{pieces_}.subspan(4 * i, 4)};
            queue_->submit(requests[i]);
        }
    }

    UniqueFd fd_;
    std::vector<char> memory_;
    std::vector<iovec> pieces_;
    std::unique_ptr<BlockFileQueue> queue_;
};

INSTANTIATE_TEST_SUITE_P(Ways, BlockCancelRealTest, testing::Values(true, false),
                         [](const auto& of) { return std::string{of.param ? "Ring" : "Threads"}; });

TEST_P(BlockCancelRealTest, LargeRequestsAreDoneWhole) {
    ASSERT_EQ(::pwrite(fd_.get(), "last", 4, 32 * kMiB - 4), 4);
    std::array<BlockRequest, 3> requests;
    submit(requests);
    finish(*queue_, requests.size());
    for (const BlockRequest& request : requests) {
        EXPECT_EQ(request.error, 0);
        EXPECT_EQ(request.length, 0u);
    }
    EXPECT_EQ(std::string(memory_.data() + memory_.size() - 4, 4), "last");
}

TEST_P(BlockCancelRealTest, AllComeBackAndThoseThatNobodyCancelledAreDone) {
    std::vector<BlockRequest> requests(16);
    submit(requests);
    queue_->commit();
    for (std::size_t i = 0; i < requests.size(); i += 2)
        queue_->cancel(requests[i]);

    finish(*queue_, requests.size());

    for (std::size_t i = 1; i < requests.size(); i += 2)
        EXPECT_EQ(requests[i].error, 0) << i;
    for (std::size_t i = 0; i < requests.size(); i += 2)
        EXPECT_TRUE(requests[i].error == ECANCELED || requests[i].error == 0) << i;
    // The queue goes on.
    std::array<BlockRequest, 2> more;
    submit(more);
    finish(*queue_, more.size());
    EXPECT_EQ(more[0].error, 0);
}

}  // namespace
}  // namespace vmm
