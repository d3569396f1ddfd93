// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "backends/block/block_file_queue.hpp"
#include "backends/block/block_test_support.hpp"
#include "support/no_more_threads.hpp"
#include "support/sanitizers.hpp"
#include "vmm/thread_desk.hpp"

namespace vmm {
namespace {

using Kind = BlockRequest::Kind;
using test::ScriptedCalls;
using testing::ElementsAre;

struct BlockIoTest : testing::Test {
    ScriptedCalls calls;
    BlockScratch scratch;
    alignas(4096) std::array<char, 4096> memory{};
    std::vector<iovec> pieces;

    /// The request over `sizes`, one after the other in memory.
    BlockRequest over(Kind kind, std::uint64_t offset, std::vector<std::size_t> sizes,
                      std::size_t from = 0) {
        pieces.clear();
        std::uint64_t length = 0;
        for (const std::size_t size : sizes) {
            pieces.push_back({memory.data() + from + length, size});
            length += size;
        }
        return {.kind = kind, .offset = offset, .length = length, .iovecs = pieces};
    }
    int perform(BlockRequest request, BlockTraits traits = {}) {
        BlockIo io{calls, traits};
        io.perform(request, scratch);
        return request.error;
    }
    std::string text(std::size_t from, std::size_t size) { return {memory.data() + from, size}; }
};

TEST_F(BlockIoTest, ShortReadsAndInterruptionsGoOn) {
    calls.bytes.replace(0, 8, "abcdefgh");
    calls.script = {3, -EINTR, 2, 1};

    EXPECT_EQ(perform(over(Kind::Read, 0, {4, 4})), 0);

    EXPECT_EQ(text(0, 8), "abcdefgh");
    EXPECT_THAT(calls.seen,
                ElementsAre("read 0+8", "read 3+5", "read 3+5", "read 5+3", "read 6+2"));
}

TEST_F(BlockIoTest, ShortWritesAndInterruptionsGoOn) {
    std::memcpy(memory.data(), "ABCDEFGH", 8);
    calls.script = {-EINTR, 5};

    EXPECT_EQ(perform(over(Kind::Write, 100, {2, 2, 4})), 0);

    EXPECT_EQ(calls.bytes.substr(100, 8), "ABCDEFGH");
    EXPECT_THAT(calls.seen, ElementsAre("write 100+8", "write 100+8", "write 105+3"));
}

TEST_F(BlockIoTest, EndOfTheFileIsAnError) {
    calls.script = {4, 0};
    EXPECT_EQ(perform(over(Kind::Read, 0, {8})), EIO);
}

TEST_F(BlockIoTest, ErrorsComeBackAsTheyAre) {
    calls.script = {-ENOSPC};
    EXPECT_EQ(perform(over(Kind::Write, 0, {8})), ENOSPC);
    calls.script = {2, -EIO};
    EXPECT_EQ(perform(over(Kind::Read, 0, {8})), EIO);
    calls.script = {-EINTR, -EIO};
    EXPECT_EQ(perform({.kind = Kind::Flush}), EIO);
}

TEST_F(BlockIoTest, DurableWritesSayToTheKernelThatTheyAre) {
    BlockRequest request = over(Kind::Write, 0, {8});
    request.durable = true;
    calls.script = {3};

    EXPECT_EQ(perform(request), 0);

    EXPECT_THAT(calls.seen, ElementsAre("write 0+8 f2", "write 3+5 f2"));  // RWF_DSYNC
}

// The kernel tells once that it could not write what it had in its cache.
TEST_F(BlockIoTest, FlushAfterAFailedOneFails) {
    BlockIo io{calls, {}};
    const auto error_of = [&](BlockRequest request) {
        io.perform(request, scratch);
        return request.error;
    };
    BlockRequest durable = over(Kind::Write, 0, {8});
    durable.durable = true;
    BlockRequest durable_zeroes{.kind = Kind::WriteZeroes, .durable = true, .length = 512};

    calls.script = {-ENOSPC};
    EXPECT_EQ(error_of({.kind = Kind::Flush}), ENOSPC);

    EXPECT_EQ(error_of({.kind = Kind::Flush}), ENOSPC);
    EXPECT_EQ(error_of(durable), ENOSPC);
    EXPECT_EQ(error_of(durable_zeroes), ENOSPC);
    EXPECT_EQ(error_of(over(Kind::Write, 0, {8})), 0);
    EXPECT_EQ(error_of(over(Kind::Read, 0, {8})), 0);
}

TEST_F(BlockIoTest, FlushAfterALostDurableWriteFails) {
    BlockIo io{calls, {}};
    BlockRequest durable = over(Kind::Write, 0, {8});
    durable.durable = true;
    const auto flushed = [&] {
        BlockRequest flush{.kind = Kind::Flush};
        io.perform(flush, scratch);
        return flush.error;
    };

    // A full disk has refused it, and nothing is lost.
    calls.script = {-ENOSPC};
    BlockRequest refused = durable;
    io.perform(refused, scratch);
    EXPECT_EQ(refused.error, ENOSPC);
    EXPECT_EQ(flushed(), 0);

    calls.script = {-EIO};
    io.perform(durable, scratch);
    EXPECT_EQ(durable.error, EIO);
    EXPECT_EQ(flushed(), EIO);
}

TEST_F(BlockIoTest, DirectFlushTellsOfItselfOnly) {
    BlockIo io{calls, {.direct = true}};
    calls.script = {-EIO};
    BlockRequest flush{.kind = Kind::Flush};
    io.perform(flush, scratch);
    EXPECT_EQ(flush.error, EIO);
    io.perform(flush, scratch);
    EXPECT_EQ(flush.error, 0);
}

TEST_F(BlockIoTest, CrookedBuffersBounceUnderDirectIo) {
    const BlockTraits direct{.direct = true, .memory_unit = 512, .file_unit = 512};
    calls.bytes.replace(512, 512, std::string(512, 'r'));

    EXPECT_EQ(perform(over(Kind::Read, 512, {200, 312}, 16), direct), 0);
    EXPECT_EQ(text(16, 512), std::string(512, 'r'));

    std::memset(memory.data(), 'w', memory.size());
    EXPECT_EQ(perform(over(Kind::Write, 1024, {512}, 8), direct), 0);
    EXPECT_EQ(calls.bytes.substr(1024, 512), std::string(512, 'w'));
}

TEST_F(BlockIoTest, StraightMeansAlignedBuffersUnderDirectIoOnly) {
    BlockIo buffered{calls, {}};
    BlockIo direct{calls, {.direct = true, .memory_unit = 4, .file_unit = 512}};

    EXPECT_TRUE(buffered.straight(over(Kind::Read, 0, {3, 5}, 1)));
    EXPECT_TRUE(direct.straight(over(Kind::Read, 0, {512, 1024}, 4)));
    EXPECT_FALSE(direct.straight(over(Kind::Read, 0, {512}, 2)));
    EXPECT_FALSE(direct.straight(over(Kind::Read, 0, {500, 12}, 0)));
}

constexpr BlockRequest kDiscard{.kind = Kind::Discard, .offset = 512, .length = 1024};
constexpr BlockRequest kZeroes{.kind = Kind::WriteZeroes, .offset = 512, .length = 1024};
constexpr BlockRequest kUnmap{
    .kind = Kind::WriteZeroes, .unmap = true, .offset = 512, .length = 1024};

TEST_F(BlockIoTest, DiscardMakesAHoleOfTheSameSize) {
    EXPECT_EQ(perform(kDiscard), 0);
    EXPECT_EQ(perform(kDiscard, {.block_device = true}), 0);
    EXPECT_THAT(calls.seen, ElementsAre("fallocate 3 512+1024", "discard 512+1024"));
}

TEST_F(BlockIoTest, DiscardThatIsNotToBeHadSaysSo) {
    calls.script = {-EINTR, -EOPNOTSUPP};
    EXPECT_EQ(perform(kDiscard), EOPNOTSUPP);
    calls.script = {-ENOTTY};
    EXPECT_EQ(perform(kDiscard, {.block_device = true}), EOPNOTSUPP);
}

TEST_F(BlockIoTest, ZeroesKeepTheirSpaceUnlessToldOtherwise) {
    EXPECT_EQ(perform(kZeroes), 0);
    EXPECT_EQ(perform(kUnmap), 0);
    EXPECT_EQ(perform(kZeroes, {.block_device = true}), 0);
    EXPECT_EQ(perform(kUnmap, {.block_device = true}), 0);
    EXPECT_THAT(calls.seen, ElementsAre("fallocate 17 512+1024", "fallocate 3 512+1024",
                                        "zeroout 512+1024", "fallocate 3 512+1024"));
}

TEST_F(BlockIoTest, ZeroesAreWrittenWhereTheFileSystemCannot) {
    calls.script = {-EOPNOTSUPP, -EOPNOTSUPP, 100};

    EXPECT_EQ(perform(kUnmap), 0);

    EXPECT_EQ(calls.bytes.substr(512, 1024), std::string(1024, '\0'));
    EXPECT_EQ(calls.bytes[511], '.');
    EXPECT_EQ(calls.bytes[1536], '.');
    EXPECT_THAT(calls.seen, ElementsAre("fallocate 3 512+1024", "fallocate 17 512+1024",
                                        "write 512+1024", "write 612+924"));
}

TEST_F(BlockIoTest, ZeroesByHandComeInBoundedPieces) {
    calls.bytes.resize(1 << 20);
    calls.script = {-EOPNOTSUPP};
    BlockRequest request = kZeroes;
    request.offset = 0;
    request.length = 600 << 10;

    EXPECT_EQ(perform(request), 0);

    EXPECT_THAT(calls.seen, ElementsAre("fallocate 17 0+614400", "write 0+262144",
                                        "write 262144+262144", "write 524288+90112"));
}

TEST_F(BlockIoTest, PartsOfPagesOfACachedDeviceAreZeroedThroughTheCache) {
    const BlockTraits cached{.block_device = true, .zero_unit = 1024};
    BlockRequest request = kZeroes;
    const auto zero = [&](std::uint64_t from, std::uint64_t to) {
        calls.seen.clear();
        request.offset = from;
        request.length = to - from;
        EXPECT_EQ(perform(request, cached), 0);
        return calls.seen;
    };

    EXPECT_THAT(zero(1024, 3072), ElementsAre("zeroout 1024+2048"));
    EXPECT_THAT(zero(512, 3584),
                ElementsAre("write 512+512", "zeroout 1024+2048", "write 3072+512"));
    EXPECT_THAT(zero(512, 1536), ElementsAre("write 512+1024"));
    EXPECT_THAT(zero(1024, 1536), ElementsAre("write 1024+512"));
    EXPECT_EQ(calls.bytes.substr(1024, 512), std::string(512, '\0'));

    calls.script = {-EIO};
    EXPECT_EQ(perform(kZeroes, cached), EIO);
}

TEST_F(BlockIoTest, FullDiskWhileZeroingIsTheError) {
    calls.script = {-ENOSPC};
    EXPECT_EQ(perform(kZeroes), ENOSPC);
    calls.script = {-EOPNOTSUPP, -ENOSPC};
    EXPECT_EQ(perform(kZeroes), ENOSPC);
}

TEST_F(BlockIoTest, DurableZeroesAreFlushed) {
    BlockRequest request = kZeroes;
    request.durable = true;
    calls.script = {0, -EIO};
    EXPECT_EQ(perform(request), EIO);
    EXPECT_THAT(calls.seen, ElementsAre("fallocate 17 512+1024", "flush"));
}

// The queue on top, with a kernel of the test's: what it does by itself and what it does not.
struct AloneTest : testing::Test {
    std::unique_ptr<ScriptedCalls> made = std::make_unique<ScriptedCalls>();
    ScriptedCalls& calls = *made;
    std::unique_ptr<BlockFileQueue> queue;
    std::array<char, 512> memory{};
    iovec piece{memory.data(), memory.size()};

    void make(BlockTraits traits) {
        queue =
            std::move(BlockFileQueue::create(-1, {.traits = traits, .depth = 8, .io_uring = false},
                                             std::move(made))
                          .value());
    }
    BlockRequest request(Kind kind) { return {.kind = kind, .length = 512, .iovecs = {&piece, 1}}; }
    /// Submits, waits, and says what came back.
    int run(BlockRequest wanted) {
        queue->submit(wanted);
        queue->commit();
        BlockRequest* done = queue->reap();
        while (done == nullptr) {
            queue->wait();
            done = queue->reap();
        }
        EXPECT_EQ(done, &wanted);
        return wanted.error;
    }
};

TEST_F(AloneTest, OneRequestIsDoneOnTheSpot) {
    make({});
    EXPECT_EQ(run(request(Kind::Read)), 0);
    EXPECT_FALSE(queue->arm());
    EXPECT_EQ(run(request(Kind::Write)), 0);
    EXPECT_EQ(queue->counts().alone, 2u);
    EXPECT_EQ(queue->counts().pool, 0u);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+512", "write 0+512"));
}

// Each starts with a request after which the thread has not rested.
TEST_F(AloneTest, CachedReadThatCameMeanwhileIsDoneOnTheSpot) {
    make({});
    EXPECT_EQ(run(request(Kind::Read)), 0);

    EXPECT_EQ(run(request(Kind::Read)), 0);

    EXPECT_EQ(queue->counts().alone, 2u);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+512", "read 0+512 f8"));  // RWF_NOWAIT
}

TEST_F(AloneTest, ReadThatCameMeanwhileAndWouldWaitGoesElsewhere) {
    make({});
    EXPECT_EQ(run(request(Kind::Read)), 0);
    calls.script = {-EAGAIN};

    EXPECT_EQ(run(request(Kind::Read)), 0);

    EXPECT_EQ(queue->counts().pool, 1u);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+512", "read 0+512 f8", "read 0+512"));
}

TEST_F(AloneTest, RestOfAReadThatIsCachedInPartGoesElsewhere) {
    make({});
    EXPECT_EQ(run(request(Kind::Read)), 0);
    calls.script = {100};

    EXPECT_EQ(run(request(Kind::Read)), 0);

    EXPECT_EQ(queue->counts().pool, 1u);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+512", "read 0+512 f8", "read 100+412"));
}

TEST_F(AloneTest, DirectRequestThatCameMeanwhileGoesElsewhere) {
    make({.direct = true});
    EXPECT_EQ(run(request(Kind::Read)), 0);
    EXPECT_EQ(run(request(Kind::Read)), 0);
    EXPECT_EQ(queue->counts().alone, 1u);
    EXPECT_EQ(queue->counts().pool, 1u);
}

TEST_F(AloneTest, RequestThatWaitsForAThreadWhichTheHostRefusesIsDoneByTheCaller) {
    if (test::kSanitized)
        GTEST_SKIP() << "a sanitizer needs its address space";
    const auto desk = *ThreadDesk::open();
    make({});
    BlockRequest flush = request(Kind::Flush);
    queue->submit(flush);
    queue->commit();
    EXPECT_EQ(queue->reap(), nullptr);
    {
        const test::NoMoreThreads full;
        desk->serve();
    }

    EXPECT_TRUE(queue->arm());
    EXPECT_EQ(queue->reap(), &flush);
    EXPECT_EQ(flush.error, 0);
    EXPECT_EQ(run(request(Kind::Flush)), 0);  // and no thread is asked for again
    EXPECT_EQ(queue->counts().pool, 1u);
    EXPECT_THAT(calls.seen, ElementsAre("flush", "flush"));
}

TEST_F(AloneTest, FlushDoesNotStopTheThread) {
    make({});
    EXPECT_EQ(run(request(Kind::Flush)), 0);
    EXPECT_EQ(queue->counts().pool, 1u);
}

TEST_F(AloneTest, FileInMemoryIsServedByTheThreadAlone) {
    make({.memory = true});
    std::array<BlockRequest, 5> requests;
    for (BlockRequest& r : requests) {
        r = request(Kind::Read);
        queue->submit(r);
    }
    queue->commit();
    for (BlockRequest& r : requests)
        EXPECT_EQ(queue->reap(), &r);
    EXPECT_EQ(queue->reap(), nullptr);
    EXPECT_EQ(run(request(Kind::Flush)), 0);
    EXPECT_EQ(queue->counts().alone, 6u);
}

}  // namespace
}  // namespace vmm
