// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_file.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backends/block/block_file_queue.hpp"
#include "backends/block/block_test_support.hpp"
#include "support/captured_log.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

using Kind = BlockRequest::Kind;
using test::finish;
using testing::HasSubstr;

constexpr std::size_t kBlock = 4096;

struct Folder {
    std::string path = testing::TempDir() + "blockXXXXXX";

    Folder() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { EXPECT_EQ(::system(("rm -rf " + path).c_str()), 0); }

    std::string file(const std::string& name, std::string_view content) const {
        const std::string whole = path + "/" + name;
        const UniqueFd fd{::open(whole.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644)};
        EXPECT_EQ(::write(fd.get(), content.data(), content.size()),
                  static_cast<ssize_t>(content.size()));
        return whole;
    }
};

std::string content(const std::string& path) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY)};
    struct stat status {};
    EXPECT_EQ(::fstat(fd.get(), &status), 0);
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    EXPECT_EQ(::pread(fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
}

std::uint64_t allocated(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

std::string error_of(const BlockFileOptions& options) {
    const auto made = open_block_file(options);
    return made ? "no error" : made.error().report();
}

TEST(BlockFileOpenTest, MissingFileIsNamed) {
    const auto made = open_block_file({.path = "/nope/disk"});
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().kind(), ErrorKind::Config);
    EXPECT_THAT(made.error().report(), HasSubstr("disk /nope/disk: open: No such file"));
    EXPECT_THAT(made.error().report(), HasSubstr("Check the path"));
}

TEST(BlockFileOpenTest, WhatIsNoDiskIsRefused) {
    const Folder folder;
    const std::string fifo = folder.path + "/fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);

    EXPECT_THAT(error_of({.path = folder.path}), HasSubstr(folder.path + ": is a directory"));
    EXPECT_THAT(error_of({.path = fifo, .readonly = true}),
                HasSubstr("fifo: is neither a file nor a block device"));
    EXPECT_THAT(error_of({.path = "/dev/null"}), HasSubstr("Name a raw image file"));
}

TEST(BlockFileOpenTest, PathThatLeadsNowhereSaysWhere) {
    const Folder folder;
    const std::string file = folder.file("d.img", std::string(512, 'a'));
    const std::string link = folder.path + "/loop";
    ASSERT_EQ(::symlink(link.c_str(), link.c_str()), 0);

    EXPECT_EQ(error_of({.path = file + "/x"}),
              "error: disk " + file +
                  "/x: open: Not a directory (errno 20)\n"
                  "  help: Check the path: a component of it is not a directory.\n");
    EXPECT_EQ(error_of({.path = link}),
              "error: disk " + link +
                  ": open: Too many levels of symbolic links (errno 40)\n"
                  "  help: Check the path: symbolic links in it form a loop.\n");
}

TEST(BlockFileOpenTest, EmptyFileIsAWarning) {
    const Folder folder;
    const std::string path = folder.file("disk", "");

    const test::CapturedLog log;
    EXPECT_EQ(error_of({.path = path}), "no error");

    EXPECT_THAT(log.text(),
                HasSubstr("disk " + path + " is empty: the guest sees a disk without a block"));
}

TEST(BlockFileOpenTest, FileThatCannotBeWrittenSuggestsReadOnly) {
    if (::geteuid() == 0)
        GTEST_SKIP() << "root may write to everything";
    const Folder folder;
    const std::string path = folder.file("disk", std::string(512, 'a'));
    ASSERT_EQ(::chmod(path.c_str(), 0400), 0);

    EXPECT_THAT(error_of({.path = path}), HasSubstr("Add readonly=on"));
    EXPECT_EQ(error_of({.path = path, .readonly = true}), "no error");
    ASSERT_EQ(::chmod(path.c_str(), 0), 0);
    EXPECT_THAT(error_of({.path = path, .readonly = true}), HasSubstr("access to the file"));
}

TEST(BlockFileOpenTest, TwoWritersAreRefusedAndReadersShare) {
    const Folder folder;
    const std::string path = folder.file("disk", std::string(512, 'a'));
    {
        const auto writer = open_block_file({.path = path});
        ASSERT_TRUE(writer.has_value());
        EXPECT_THAT(error_of({.path = path}), HasSubstr(path + ": is in use"));
        EXPECT_THAT(error_of({.path = path, .readonly = true}), HasSubstr("readonly=on"));
    }
    const auto reader = open_block_file({.path = path, .readonly = true});
    ASSERT_TRUE(reader.has_value());
    EXPECT_EQ(error_of({.path = path, .readonly = true}), "no error");
    EXPECT_THAT(error_of({.path = path}), HasSubstr("is in use"));
}

/// Holds a disk as a guest that reads does, tells the pipe so, and waits to be killed.
[[noreturn]] void hold_and_read(const std::string& path, int told) {
    const auto held = open_block_file({.path = path});
    const auto queue = held ? (*held)->make_queue(64) : Result<std::unique_ptr<BlockQueue>>{};
    std::array<std::byte, kBlock> block{};
    iovec piece{block.data(), block.size()};
    std::array<BlockRequest, 32> requests;
    for (BlockRequest& request : requests) {
        request = {.kind = Kind::Read, .offset = 0, .length = kBlock, .iovecs = {&piece, 1}};
        (*queue)->submit(request);
    }
    (*queue)->commit();
    for (std::size_t done = 0; done < requests.size();) {
        if ((*queue)->reap() != nullptr)
            ++done;
        else
            (*queue)->wait();
    }
    (void)!::write(told, "+", 1);
    for (;;)
        ::pause();
}

TEST(BlockFileOpenTest, KilledHolderLetsGoAtOnce) {
    const Folder folder;
    const std::string path = folder.file("disk", std::string(kBlock, 'a'));
    for (int i = 0; i < 20; ++i) {
        std::array<int, 2> pipe{};
        ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
        const pid_t child = ::fork();
        if (child == 0)
            hold_and_read(path, pipe[1]);
        ::close(pipe[1]);
        char ready = 0;
        EXPECT_EQ(::read(pipe[0], &ready, 1), 1);
        EXPECT_EQ(::kill(child, SIGKILL), 0);
        EXPECT_EQ(::waitpid(child, nullptr, 0), child);
        EXPECT_EQ(error_of({.path = path}), "no error") << i;
        ::close(pipe[0]);
    }
}

TEST(BlockFileOpenTest, FileIsDescribed) {
    const Folder folder;
    const std::string path = folder.file("disk", std::string(8192 + 100, 'a'));

    const auto made = open_block_file({.path = path, .readonly = true});

    ASSERT_TRUE(made.has_value());
    const BlockInfo& info = (*made)->info();
    EXPECT_EQ(info.name, path);
    EXPECT_EQ(info.size, 8292u);
    EXPECT_EQ(info.logical_block, 512u);
    EXPECT_EQ(info.physical_block, 4096u);
    EXPECT_TRUE(info.readonly);
    EXPECT_FALSE(info.can_discard);
    EXPECT_FALSE(info.can_unmap_zeroes);

    ASSERT_EQ(::truncate(path.c_str(), 65536), 0);
    EXPECT_EQ((*made)->current_size().value(), 65536u);
}

enum class Way : std::uint8_t { Ring, Threads };
struct Case {
    Way way;
    bool direct;
};

/// Every command on a real file, with and without io_uring, buffered and direct.
class BlockFileTest : public testing::TestWithParam<Case> {
protected:
    Folder folder;
    std::string path;
    std::unique_ptr<BlockBackend> backend;
    std::unique_ptr<BlockQueue> queue;
    std::byte* memory = static_cast<std::byte*>(std::aligned_alloc(kBlock, 64 * kBlock));

    ~BlockFileTest() override { std::free(memory); }

    void open(std::size_t blocks, bool readonly = false) {
        std::string text;
        for (std::size_t i = 0; i < blocks; ++i)
            text.append(kBlock, static_cast<char>('a' + i % 26));
        path = folder.file("disk", text);
        auto made = open_block_file({.path = path,
                                     .readonly = readonly,
                                     .direct = GetParam().direct,
                                     .io_uring = GetParam().way == Way::Ring});
        if (!made && GetParam().direct)
            GTEST_SKIP() << "no O_DIRECT here: " << made.error().one_line();
        ASSERT_TRUE(made.has_value()) << made.error().report();
        backend = *std::move(made);
        queue = std::move(backend->make_queue(64).value());
    }
    iovec piece(std::size_t block, std::size_t bytes = kBlock) {
        return {memory + block * kBlock, bytes};
    }
    char first(std::size_t block) { return static_cast<char>(memory[block * kBlock]); }
    void wait_for(std::size_t count) {
        for (std::size_t done = 0; done < count;) {
            if (queue->reap() != nullptr)
                ++done;
            else
                queue->wait();
        }
        EXPECT_EQ(queue->reap(), nullptr);
        EXPECT_FALSE(queue->arm());
    }
    int run(BlockRequest request) {
        queue->submit(request);
        queue->commit();
        wait_for(1);
        return request.error;
    }
};

INSTANTIATE_TEST_SUITE_P(Ways, BlockFileTest,
                         testing::Values(Case{Way::Ring, false}, Case{Way::Ring, true},
                                         Case{Way::Threads, false}, Case{Way::Threads, true}),
                         [](const auto& of) {
                             return cat(of.param.way == Way::Ring ? "Ring" : "Threads",
                                        of.param.direct ? "Direct" : "Buffered");
                         });

TEST_P(BlockFileTest, BatchOfReadsAndWritesAllHappen) {
    open(32);
    std::array<BlockRequest, 32> requests;
    std::array<iovec, 32> pieces{};
    for (std::size_t i = 0; i < 32; ++i) {
        pieces[i] = piece(i);
        const bool write = i % 2 == 1;
        if (write)
            std::memset(pieces[i].iov_base, 'W', kBlock);
        requests[i] = {.kind = write ? Kind::Write : Kind::Read,
                       .offset = i * kBlock,
                       .length = kBlock,
                       .iovecs = {&pieces[i], 1}};
        queue->submit(requests[i]);
    }
    queue->commit();
    wait_for(32);

    for (std::size_t i = 0; i < 32; i += 2) {
        EXPECT_EQ(requests[i].error, 0);
        EXPECT_EQ(first(i), 'a' + static_cast<int>(i % 26));
    }
    const std::string text = content(path);
    for (std::size_t i = 0; i < 32; ++i)
        EXPECT_EQ(text[i * kBlock + 4095], i % 2 == 1 ? 'W' : 'a' + static_cast<int>(i % 26));
}

TEST_P(BlockFileTest, ManyPiecesAreOneRequest) {
    open(4);
    std::array<iovec, 4> back{piece(3), piece(2), piece(1), piece(0)};
    EXPECT_EQ(run({.kind = Kind::Read, .length = 4 * kBlock, .iovecs = back}), 0);
    EXPECT_EQ(first(3), 'a');
    EXPECT_EQ(first(0), 'd');
}

TEST_P(BlockFileTest, CrookedBuffersAreServed) {
    open(2);
    iovec misaligned{memory + 3, kBlock};
    EXPECT_EQ(
        run({.kind = Kind::Read, .offset = kBlock, .length = kBlock, .iovecs = {&misaligned, 1}}),
        0);
    EXPECT_EQ(static_cast<char>(memory[3]), 'b');
    EXPECT_EQ(static_cast<char>(memory[3 + kBlock - 1]), 'b');
}

TEST_P(BlockFileTest, FlushAndDurableWriteSucceed) {
    open(2);
    std::memset(memory, 'D', kBlock);
    iovec one = piece(0);
    EXPECT_EQ(run({.kind = Kind::Write, .durable = true, .length = kBlock, .iovecs = {&one, 1}}),
              0);
    EXPECT_EQ(run({.kind = Kind::Flush}), 0);
    EXPECT_EQ(content(path)[0], 'D');
}

TEST_P(BlockFileTest, FileCutOffUnderTheGuestFailsReadsBehindItsEnd) {
    open(8);
    ASSERT_EQ(::truncate(path.c_str(), 2 * kBlock), 0);
    std::array<BlockRequest, 2> requests;
    std::array<iovec, 2> pieces{piece(0), piece(1)};
    for (std::size_t i = 0; i < 2; ++i) {
        requests[i] = {.kind = Kind::Read,
                       .offset = i * 4 * kBlock,
                       .length = kBlock,
                       .iovecs = {&pieces[i], 1}};
        queue->submit(requests[i]);
    }
    queue->commit();
    wait_for(2);

    EXPECT_EQ(requests[0].error, 0);
    EXPECT_EQ(requests[1].error, EIO);
}

TEST_P(BlockFileTest, ReadOnlyIsTheKernelsWord) {
    open(2, true);
    std::memset(memory, 'X', 2 * kBlock);
    std::array<BlockRequest, 2> requests;
    std::array<iovec, 2> pieces{piece(0), piece(1)};
    for (std::size_t i = 0; i < 2; ++i) {
        requests[i] = {.kind = Kind::Write, .length = kBlock, .iovecs = {&pieces[i], 1}};
        queue->submit(requests[i]);
    }
    queue->commit();
    wait_for(2);

    EXPECT_EQ(requests[0].error, EBADF);
    EXPECT_EQ(requests[1].error, EBADF);
    EXPECT_NE(run({.kind = Kind::Discard, .length = kBlock}), 0);
    EXPECT_NE(run({.kind = Kind::WriteZeroes, .length = kBlock}), 0);
    EXPECT_EQ(content(path)[0], 'a');
}

TEST_P(BlockFileTest, DiscardFreesSpaceAndKeepsTheSize) {
    open(64);
    if (!backend->info().can_discard)
        GTEST_SKIP() << "no holes on this file system";
    ASSERT_EQ(run({.kind = Kind::Flush}), 0);
    const std::uint64_t before = allocated(path);

    EXPECT_EQ(run({.kind = Kind::Discard, .offset = 16 * kBlock, .length = 32 * kBlock}), 0);

    EXPECT_EQ(before - allocated(path), 32 * kBlock);
    const std::string text = content(path);
    EXPECT_EQ(text.size(), 64 * kBlock);
    EXPECT_EQ(text[15 * kBlock], 'p');
    EXPECT_EQ(text[16 * kBlock], '\0');
}

TEST_P(BlockFileTest, ZeroesAreZeroesAndFreeSpaceWhenTheyMay) {
    open(64);
    ASSERT_EQ(run({.kind = Kind::Flush}), 0);
    const std::uint64_t before = allocated(path);

    EXPECT_EQ(run({.kind = Kind::WriteZeroes, .offset = kBlock, .length = 2 * kBlock}), 0);
    EXPECT_EQ(allocated(path), before);
    EXPECT_EQ(
        run({.kind = Kind::WriteZeroes, .unmap = true, .offset = 8 * kBlock, .length = 8 * kBlock}),
        0);
    if (backend->info().can_unmap_zeroes) {
        EXPECT_EQ(before - allocated(path), 8 * kBlock);
    }

    const std::string text = content(path);
    EXPECT_EQ(text.substr(kBlock, 2 * kBlock), std::string(2 * kBlock, '\0'));
    EXPECT_EQ(text.substr(8 * kBlock, 8 * kBlock), std::string(8 * kBlock, '\0'));
    EXPECT_EQ(text[3 * kBlock], 'd');
}

TEST_P(BlockFileTest, SparseFileStaysSparse) {
    open(1);
    ASSERT_EQ(::truncate(path.c_str(), 1 << 30), 0);
    std::memset(memory, 'S', kBlock);
    iovec one = piece(0);
    EXPECT_EQ(run({.kind = Kind::Write,
                   .offset = (1 << 30) - kBlock,
                   .length = kBlock,
                   .iovecs = {&one, 1}}),
              0);
    EXPECT_EQ(run({.kind = Kind::Flush}), 0);
    EXPECT_LT(allocated(path), 1u << 20);
}

// The sleeping side: a completion must wake who armed, again and again.
TEST_P(BlockFileTest, EveryBatchWakesTheThreadThatSleeps) {
    open(8);
    for (int round = 0; round < 200; ++round) {
        std::array<BlockRequest, 4> requests;
        std::array<iovec, 4> pieces{piece(0), piece(1), piece(2), piece(3)};
        for (std::size_t i = 0; i < 4; ++i) {
            requests[i] = {.kind = i == 3 ? Kind::Flush : Kind::Read, .offset = i * kBlock};
            if (i != 3) {
                requests[i].length = kBlock;
                requests[i].iovecs = {&pieces[i], 1};
            }
            queue->submit(requests[i]);
        }
        queue->commit();
        wait_for(4);
        for (const BlockRequest& request : requests)
            ASSERT_EQ(request.error, 0) << round;
    }
}

TEST(BlockFileQueueTest, BatchesTakeTheRingWhereThereIsOne) {
    const Folder folder;
    const std::string path = folder.file("disk", std::string(2 * kBlock, 'a'));
    const UniqueFd fd{::open(path.c_str(), O_RDWR)};
    const auto queue = std::move(BlockFileQueue::create(fd.get(), {.depth = 8}, nullptr).value());
    std::array<std::byte, 2 * kBlock> memory{};
    std::array<iovec, 2> pieces{iovec{memory.data(), kBlock},
                                iovec{memory.data() + kBlock, kBlock}};
    std::array<BlockRequest, 2> requests;
    for (std::size_t i = 0; i < 2; ++i) {
        requests[i] = {.kind = Kind::Read, .length = kBlock, .iovecs = {&pieces[i], 1}};
        queue->submit(requests[i]);
    }
    finish(*queue, 2);
    if (queue->counts().ring == 0)
        GTEST_SKIP() << "this host has no io_uring";
    EXPECT_EQ(queue->counts().ring, 2u);
    EXPECT_EQ(queue->counts().pool, 0u);
}

/// The kernel's own, but that reads wait until so many are under way.
struct MeetingCalls final : BlockCalls {
    explicit MeetingCalls(int fd) : kernel{fd} {}

    ssize_t read(std::span<const iovec> to, std::uint64_t offset, int flags) noexcept override {
        if (flags == 0) {
            std::unique_lock held{mutex};
            most = std::max(most, ++inside);
            met.notify_all();
            met.wait_for(held, std::chrono::seconds{10}, [&] { return most >= 2; });
            --inside;
        }
        return kernel.read(to, offset, flags);
    }
    ssize_t write(std::span<const iovec> from, std::uint64_t offset, int flags) noexcept override {
        return kernel.write(from, offset, flags);
    }
    ssize_t write_cached(std::span<const std::byte> from, std::uint64_t offset) noexcept override {
        return kernel.write_cached(from, offset);
    }
    std::uint64_t size() noexcept override { return kernel.size(); }
    int flush() noexcept override { return kernel.flush(); }
    int fallocate(int mode, std::uint64_t offset, std::uint64_t length) noexcept override {
        return kernel.fallocate(mode, offset, length);
    }
    int block_ioctl(unsigned long request, std::uint64_t offset,
                    std::uint64_t length) noexcept override {
        return kernel.block_ioctl(request, offset, length);
    }

    KernelBlockCalls kernel;
    std::mutex mutex;
    std::condition_variable met;
    unsigned inside = 0;
    unsigned most = 0;
};

/// For the calling thread and those that it starts.
void forbid_io_uring() {
    std::array code{
        sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_io_uring_setup},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const sock_fprog program{.len = code.size(), .filter = code.data()};
    ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

// As a container does it. The first request is one that the pool has anyway.
TEST(BlockFileQueueTest, WhereIoUringIsForbiddenThreadsServeAndTheLogSaysSo) {
    const Folder folder;
    const std::string path = folder.file("disk", std::string(2 * kBlock, 'a'));
    const UniqueFd fd{::open(path.c_str(), O_RDWR)};
    const test::CapturedLog log;
    std::thread{[&] {
        forbid_io_uring();
        auto calls = std::make_unique<MeetingCalls>(fd.get());
        const unsigned& most = calls->most;
        const auto queue =
            std::move(BlockFileQueue::create(fd.get(), {.depth = 8}, std::move(calls)).value());
        std::array<std::byte, 2 * kBlock> memory{};
        std::array<iovec, 2> pieces{iovec{memory.data(), kBlock},
                                    iovec{memory.data() + kBlock, kBlock}};
        std::array<BlockRequest, 3> requests;
        requests[0] = {.kind = Kind::WriteZeroes, .offset = kBlock, .length = kBlock};
        queue->submit(requests[0]);
        finish(*queue, 1);
        for (std::size_t i = 0; i < 2; ++i) {
            requests[i + 1] = {.kind = Kind::Read,
                               .offset = i * kBlock,
                               .length = kBlock,
                               .iovecs = {&pieces[i], 1}};
            queue->submit(requests[i + 1]);
        }
        finish(*queue, 2);

        for (const BlockRequest& request : requests)
            EXPECT_EQ(request.error, 0);
        EXPECT_EQ(memory.front(), std::byte{'a'});
        EXPECT_EQ(memory.back(), std::byte{0});
        EXPECT_EQ(queue->counts().ring, 0u);
        EXPECT_EQ(most, 2u) << "reads wait for each other";
    }}.join();
    EXPECT_THAT(log.text(),
                HasSubstr("io_uring cannot be used (io_uring_setup: Operation not permitted (errno "
                          "1)): disks are served by threads, which is slower"));
}

/// `count` writes of a block in one batch, all done when it returns.
void write_batch(BlockQueue& queue, std::size_t count) {
    std::array<std::byte, kBlock> memory{};
    iovec piece{memory.data(), kBlock};
    std::vector<BlockRequest> requests(count);
    for (BlockRequest& request : requests) {
        request = {.kind = Kind::Write, .length = kBlock, .iovecs = {&piece, 1}};
        queue.submit(request);
    }
    finish(queue, count);
}

struct CacheWriteTest : testing::Test {
    Folder folder;
    std::string path = folder.file("disk", std::string(2 * kBlock, 'a'));
    UniqueFd fd{::open(path.c_str(), O_RDWR)};

    std::unique_ptr<BlockFileQueue> queue(std::chrono::nanoseconds slow_write) {
        return std::move(
            BlockFileQueue::create(fd.get(), {.depth = 128, .slow_write = slow_write}, nullptr)
                .value());
    }
};

TEST_F(CacheWriteTest, QuickWritesAreOurs) {
    const auto quick = queue(std::chrono::hours{1});

    write_batch(*quick, 100);
    write_batch(*quick, 1);

    EXPECT_EQ(quick->counts().alone, 101u);
}

TEST_F(CacheWriteTest, AfterASlowOneTheNextAreNot) {
    const auto slow = queue(std::chrono::nanoseconds{0});

    write_batch(*slow, 1 + BlockFileQueue::kAfterSlowWrite);
    EXPECT_EQ(slow->counts().alone, 1u);
    EXPECT_EQ(slow->counts().ring + slow->counts().pool, BlockFileQueue::kAfterSlowWrite);

    write_batch(*slow, 2);
    EXPECT_EQ(slow->counts().alone, 2u);
}

}  // namespace
}  // namespace vmm
