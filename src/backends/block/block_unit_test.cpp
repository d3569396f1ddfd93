// SPDX-License-Identifier: Apache-2.0
// Requests of less than what the host's O_DIRECT moves: bounce buffers and read-modify-write.
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>

#include "backends/block/block_file.hpp"
#include "backends/block/block_file_queue.hpp"
#include "backends/block/block_test_support.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

using Kind = BlockRequest::Kind;
using test::finish;
using test::ScriptedCalls;
using testing::ElementsAre;

constexpr BlockTraits kUnits{
    .direct = true, .memory_unit = 512, .file_unit = 1024, .partial_units = true};

/// Units of 1024 bytes, sectors of 512.
struct BlockUnitTest : testing::Test {
    ScriptedCalls calls;
    BlockScratch scratch;
    alignas(4096) std::array<char, 8192> memory{};
    iovec piece{};

    BlockRequest over(Kind kind, std::uint64_t offset, std::size_t length) {
        piece = {memory.data(), length};
        return {.kind = kind, .offset = offset, .length = length, .iovecs = {&piece, 1}};
    }
    int perform(BlockRequest request, const BlockTraits& traits = kUnits) {
        BlockIo io{calls, traits};
        io.perform(request, scratch);
        return request.error;
    }
    int write(std::uint64_t offset, std::size_t length) {
        memory.fill('w');
        return perform(over(Kind::Write, offset, length));
    }
    /// From `offset` on there are so many 'w', and '.' all around.
    void expect_written(std::uint64_t offset, std::size_t length) {
        std::string expected(calls.bytes.size(), '.');
        expected.replace(offset, length, length, 'w');
        EXPECT_EQ(calls.bytes, expected);
    }
};

TEST_F(BlockUnitTest, ReadOfAPartReadsTheUnit) {
    calls.bytes.replace(1536, 512, 512, 'r');
    EXPECT_EQ(perform(over(Kind::Read, 1536, 512)), 0);
    EXPECT_EQ(std::string(memory.data(), 512), std::string(512, 'r'));
    EXPECT_THAT(calls.seen, ElementsAre("read 1024+1024"));
}

TEST_F(BlockUnitTest, WriteOfAPartKeepsTheRestOfTheUnit) {
    EXPECT_EQ(write(512, 512), 0);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+1024", "write 0+1024"));
    expect_written(512, 512);
}

TEST_F(BlockUnitTest, OnlyTheUnitsAtTheEndsAreRead) {
    EXPECT_EQ(write(512, 3072), 0);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+1024", "read 3072+1024", "write 0+4096"));
    expect_written(512, 3072);
}

TEST_F(BlockUnitTest, UnitThatIsWholeAtOneEndIsNotRead) {
    EXPECT_EQ(write(1024, 1536), 0);
    EXPECT_EQ(write(512, 1536), 0);
    EXPECT_THAT(calls.seen,
                ElementsAre("read 2048+1024", "write 1024+2048", "read 0+1024", "write 0+2048"));
    expect_written(512, 2048);
}

TEST_F(BlockUnitTest, WholeUnitsAreNotCopied) {
    EXPECT_EQ(write(1024, 2048), 0);
    EXPECT_THAT(calls.seen, ElementsAre("write 1024+2048"));
    BlockIo io{calls, kUnits};
    EXPECT_TRUE(io.straight(over(Kind::Write, 1024, 2048)));
    EXPECT_FALSE(io.straight(over(Kind::Write, 512, 1024)));
}

TEST_F(BlockUnitTest, LargeWriteGoesInPiecesThatEndWithAUnit) {
    calls.bytes.assign(1 << 20, '.');
    std::string source(300 << 10, 'w');
    piece = {source.data(), source.size()};
    EXPECT_EQ(
        perform(
            {.kind = Kind::Write, .offset = 512, .length = source.size(), .iovecs = {&piece, 1}}),
        0);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+1024", "write 0+262144", "read 307200+1024",
                                        "write 262144+46080"));
    expect_written(512, source.size());
}

TEST_F(BlockUnitTest, ErrorOfTheReadBeforeIsTheErrorOfTheWrite) {
    calls.script = {-EIO};
    EXPECT_EQ(write(512, 512), EIO);
    expect_written(0, 0);
}

TEST_F(BlockUnitTest, DurableWriteOfAPartIsDurable) {
    BlockRequest request = over(Kind::Write, 512, 512);
    request.durable = true;
    EXPECT_EQ(perform(request), 0);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+1024", "write 0+1024 f2"));  // RWF_DSYNC
}

TEST_F(BlockUnitTest, FileThatEndsWithinAUnitKeepsItsSize) {
    calls.bytes.assign(2560, '.');

    EXPECT_EQ(write(2048, 512), 0);
    EXPECT_THAT(calls.seen, ElementsAre("cached 2048+512"));
    expect_written(2048, 512);

    calls.seen.clear();
    calls.bytes.assign(2560, '.');
    EXPECT_EQ(write(512, 2048), 0);
    EXPECT_THAT(calls.seen, ElementsAre("read 0+1024", "write 0+2048", "cached 2048+512"));
    expect_written(512, 2048);

    calls.bytes.replace(2048, 512, 512, 'r');
    EXPECT_EQ(perform(over(Kind::Read, 1536, 1024)), 0);
    EXPECT_EQ(std::string(memory.data() + 512, 512), std::string(512, 'r'));
}

TEST_F(BlockUnitTest, FileCutOffWithinAUnitFailsTheRead) {
    calls.bytes.resize(1536);
    EXPECT_EQ(perform(over(Kind::Read, 1536, 512)), EIO);
}

TEST_F(BlockUnitTest, ZeroesInPartsOfADevicesBlocksAreWritten) {
    BlockTraits device = kUnits;
    device.block_device = true;
    device.zero_unit = 1024;

    EXPECT_EQ(perform({.kind = Kind::WriteZeroes, .offset = 512, .length = 2048}, device), 0);

    EXPECT_THAT(calls.seen, ElementsAre("read 0+1024", "write 0+1024", "zeroout 1024+1024",
                                        "read 2048+1024", "write 2048+1024"));
    EXPECT_EQ(calls.bytes.substr(512, 512), std::string(512, '\0'));
    EXPECT_EQ(calls.bytes.substr(2048, 512), std::string(512, '\0'));
    EXPECT_EQ(calls.bytes[511], '.');
    EXPECT_EQ(calls.bytes[2560], '.');
}

TEST_F(BlockUnitTest, DiscardOfPartsOfADevicesBlocksLeavesThose) {
    BlockTraits device{.block_device = true, .discard_unit = 1024};

    EXPECT_EQ(perform({.kind = Kind::Discard, .offset = 512, .length = 2048}, device), 0);
    EXPECT_EQ(perform({.kind = Kind::Discard, .offset = 512, .length = 512}, device), 0);

    EXPECT_THAT(calls.seen, ElementsAre("discard 1024+1024"));
}

/// A read waits a while for a second one to be under way, so that two writes to one unit, if they
/// may run side by side, both have read it before either writes.
class MeetingReads final : public ScriptedCalls {
public:
    ssize_t read(std::span<const iovec> to, std::uint64_t offset, int flags) noexcept override {
        std::unique_lock held{mutex_};
        const ssize_t count = ScriptedCalls::read(to, offset, flags);
        ++inside_;
        met_.notify_all();
        met_.wait_for(held, std::chrono::milliseconds{100}, [&] { return inside_ >= 2; });
        --inside_;
        return count;
    }
    ssize_t write(std::span<const iovec> from, std::uint64_t offset, int flags) noexcept override {
        const std::scoped_lock held{mutex_};
        return ScriptedCalls::write(from, offset, flags);
    }

private:
    std::mutex mutex_;
    std::condition_variable met_;
    unsigned inside_ = 0;
};

TEST(BlockUnitQueueTest, WritesToOneUnitDoNotLoseEachOther) {
    auto made = std::make_unique<MeetingReads>();
    const MeetingReads& calls = *made;
    const auto queue =
        std::move(BlockFileQueue::create(-1, {.traits = kUnits, .depth = 8, .io_uring = false},
                                         std::move(made))
                      .value());
    std::array<std::array<char, 512>, 4> memory{};
    std::array<iovec, 4> pieces{};
    std::array<BlockRequest, 4> requests;
    for (std::size_t i = 0; i < 4; ++i) {
        memory[i].fill(static_cast<char>('0' + i));
        pieces[i] = {memory[i].data(), 512};
        requests[i] = {
            .kind = Kind::Write, .offset = i * 512, .length = 512, .iovecs = {&pieces[i], 1}};
        queue->submit(requests[i]);
    }
    finish(*queue, 4);

    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(requests[i].error, 0);
        EXPECT_EQ(calls.bytes.substr(i * 512, 512), std::string(memory[i].data(), 512)) << i;
    }
}

// On tmpfs, which does not tell its units, and on the file system of the build, whatever that says.
TEST(BlockUnitFileTest, PartitionTableOfSectorsOf512IsWhereItWas) {
    for (const std::string folder : {"/dev/shm", "."}) {
        std::string path = folder + "/block_unit_XXXXXX";
        const UniqueFd file{::mkstemp(path.data())};
        ASSERT_EQ(::ftruncate(file.get(), 3 * 4096 + 512), 0);
        ASSERT_EQ(::pwrite(file.get(), "EFI PART", 8, 512), 8);
        const auto disk = open_block_file({.path = path, .direct = true});
        ::unlink(path.c_str());
        if (!disk)
            continue;  // no O_DIRECT here
        EXPECT_EQ((*disk)->info().logical_block, 512u) << folder;
        EXPECT_EQ((*disk)->info().size, 3u * 4096 + 512);
        const auto queue = std::move((*disk)->make_queue(2).value());
        std::array<char, 512> sector{};
        iovec piece{sector.data(), sector.size()};
        BlockRequest request{.kind = Kind::Read, .offset = 512, .length = 512};
        request.iovecs = {&piece, 1};
        queue->submit(request);
        finish(*queue, 1);
        EXPECT_EQ(request.error, 0);
        EXPECT_EQ(std::string(sector.data(), 8), "EFI PART");

        piece = {sector.data(), sector.size()};
        request = {.kind = Kind::Write, .offset = 3 * 4096, .length = 512};
        request.iovecs = {&piece, 1};
        queue->submit(request);
        finish(*queue, 1);
        EXPECT_EQ(request.error, 0);
        EXPECT_EQ((*disk)->current_size().value(), 3u * 4096 + 512) << "the file keeps its size";
    }
}

/// A device of the host with logical blocks of 4096 bytes, over a file of 1 MiB.
class LargeBlockDevice {
public:
    LargeBlockDevice() {
        file_ = UniqueFd{::mkstemp(name_.data())};
        ::unlink(name_.c_str());
        if (::ftruncate(file_.get(), 1 << 20) != 0)
            return;
        const UniqueFd control{::open("/dev/loop-control", O_RDWR | O_CLOEXEC)};
        const int number = control ? ::ioctl(control.get(), LOOP_CTL_GET_FREE) : -1;
        if (number < 0)
            return;
        path = cat("/dev/loop", number);
        device_ = UniqueFd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
        loop_config config{};
        config.fd = static_cast<std::uint32_t>(file_.get());
        config.block_size = 4096;
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
        is_there = device_ && ::ioctl(device_.get(), LOOP_CONFIGURE, &config) == 0;
    }
    std::string bytes(std::size_t at, std::size_t count) const {
        std::string text(count, '?');
        EXPECT_EQ(::pread(file_.get(), text.data(), count, static_cast<off_t>(at)),
                  static_cast<ssize_t>(count));
        return text;
    }

    std::string path;
    bool is_there = false;

private:
    std::string name_ = "block_unit_XXXXXX";
    UniqueFd file_;
    UniqueFd device_;
};

class LargeBlockTest : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(Ways, LargeBlockTest, testing::Values(false, true), [](const auto& of) {
    return std::string{of.param ? "Direct" : "Buffered"};
});

TEST_P(LargeBlockTest, SectorsOf512WorkOnADeviceOf4096) {
    const LargeBlockDevice device;
    if (!device.is_there)
        GTEST_SKIP() << "no loop device of ours to be had";
    {
        const auto as_it_is = open_block_file({.path = device.path, .direct = GetParam()});
        ASSERT_TRUE(as_it_is.has_value()) << as_it_is.error().report();
        EXPECT_EQ((*as_it_is)->info().logical_block, 4096u);
    }
    const auto disk =
        open_block_file({.path = device.path, .direct = GetParam(), .logical_block = 512});
    ASSERT_TRUE(disk.has_value()) << disk.error().report();
    EXPECT_EQ((*disk)->info().logical_block, 512u);
    EXPECT_EQ((*disk)->info().physical_block, 4096u);
    const auto queue = std::move((*disk)->make_queue(8).value());
    const auto run = [&](BlockRequest request) {
        queue->submit(request);
        finish(*queue, 1);
        return request.error;
    };
    std::array<char, 512> sector;
    iovec piece{sector.data(), sector.size()};

    sector.fill('s');
    EXPECT_EQ(run({.kind = Kind::Write, .offset = 512, .length = 512, .iovecs = {&piece, 1}}), 0);
    sector.fill('t');
    EXPECT_EQ(
        run({.kind = Kind::Write, .offset = 4096 + 512, .length = 512, .iovecs = {&piece, 1}}), 0);
    EXPECT_EQ(run({.kind = Kind::WriteZeroes, .offset = 4096 + 256 * 4, .length = 512}), 0);
    EXPECT_EQ(run({.kind = Kind::Discard, .offset = 4096 + 512, .length = 512}), 0);
    EXPECT_EQ(run({.kind = Kind::Flush}), 0);
    EXPECT_EQ(run({.kind = Kind::Read, .offset = 512, .length = 512, .iovecs = {&piece, 1}}), 0);

    EXPECT_EQ(std::string(sector.data(), 512), std::string(512, 's'));
    EXPECT_EQ(device.bytes(0, 512), std::string(512, '\0'));
    EXPECT_EQ(device.bytes(512, 512), std::string(512, 's'));
    EXPECT_EQ(device.bytes(4096 + 512, 512), std::string(512, 't'));
}

}  // namespace
}  // namespace vmm
