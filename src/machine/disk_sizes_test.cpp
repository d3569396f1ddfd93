// SPDX-License-Identifier: Apache-2.0
#include "machine/disk_sizes.hpp"

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "support/fake_block_backend.hpp"
#include "vmm/log.hpp"
#include "vmm/message_stream.hpp"

namespace vmm::machine {
namespace {

using test::FakeBlockBackend;

/// Three disks of 1 MiB without a guest, and what is said about them.
struct DiskSizesTest : testing::Test {
    std::filesystem::path file = testing::TempDir() + "disk_sizes_" + std::to_string(::getpid());
    std::array<FakeBlockBackend*, 3> media{};
    std::array<std::unique_ptr<virtio_blk::Blk>, 3> owned;
    std::array<virtio_blk::Blk*, 3> disks{};

    void SetUp() override {
        for (std::size_t i = 0; i < disks.size(); ++i) {
            auto medium = std::make_unique<FakeBlockBackend>(1 << 20);
            media[i] = medium.get();
            owned[i] =
                virtio_blk::Blk::create({.name = "disk" + std::to_string(i)}, std::move(medium))
                    .value();
            disks[i] = owned[i].get();
        }
        ASSERT_TRUE(log::configure({.level = log::Level::Info, .file = file}));
    }
    void TearDown() override {
        ASSERT_TRUE(log::configure({.level = log::Level::Off, .file = "/dev/null"}));
        std::filesystem::remove(file);
    }

    void look() const {
        for (virtio_blk::Blk* const disk : disks)
            look_at_size(*disk);
    }
    /// Without time stamps.
    std::string said() const {
        finish_messages(std::chrono::minutes{1});
        std::ifstream stream{file};
        std::string text;
        for (std::string line; std::getline(stream, line);)
            text += line.substr(line.rfind("] [", line.find(": ")) + 2) + "\n";
        return text;
    }
    std::uint64_t sectors(std::size_t disk) const {
        std::uint64_t capacity = 0;
        disks.at(disk)->read_config(0, std::as_writable_bytes(std::span{&capacity, 1}));
        return capacity;
    }
};

TEST_F(DiskSizesTest, SameSizeIsNoNews) {
    look();

    EXPECT_EQ(said(), "");
}

TEST_F(DiskSizesTest, EachChangeIsOneLine) {
    media[0]->resize(2 << 20);
    media[2]->resize(512);

    look();
    look();

    EXPECT_EQ(said(),
              "[info] disk0 (/fake/disk): 2097152 bytes, was 1048576\n"
              "[info] disk2 (/fake/disk): 512 bytes, was 1048576\n");
    EXPECT_EQ(sectors(0), 4096u);
    EXPECT_EQ(sectors(1), 2048u);
    EXPECT_EQ(sectors(2), 1u);
}

TEST_F(DiskSizesTest, OneThatCannotBeLookedAtDoesNotStopTheOthers) {
    media[0]->hide_size(ESTALE);
    media[1]->resize(2 << 20);

    look();

    EXPECT_EQ(said(),
              "[warning] the size of a disk stays as it was: disk0: fstat: Stale file handle "
              "(errno 116)\n"
              "[info] disk1 (/fake/disk): 2097152 bytes, was 1048576\n");
    EXPECT_EQ(sectors(0), 2048u);
}

TEST_F(DiskSizesTest, SizeThatIsNotWholeBlocksIsRoundedDown) {
    media[1]->resize((1 << 20) + 1000);

    look();
    look();

    EXPECT_EQ(said(),
              "[info] disk1 (/fake/disk): 1049088 bytes, was 1048576\n"
              "[warning] disk1 (/fake/disk): the last 488 bytes are less than a block; the guest "
              "does not see them\n");
    EXPECT_EQ(sectors(1), 2049u);
}

TEST_F(DiskSizesTest, ShrunkToNothingAndBackAgain) {
    media[1]->resize(0);
    look();
    EXPECT_EQ(sectors(1), 0u);

    media[1]->resize(1 << 20);
    look();
    EXPECT_EQ(sectors(1), 2048u);
}

TEST_F(DiskSizesTest, LooksAreAnsweredFromTheLoopInTheirOrder) {
    boost::asio::io_context loop{1};
    const EventFd ended = EventFd::create().value();
    auto sizes = DiskSizes::create(loop, ended);
    ASSERT_TRUE(sizes);
    std::string answers;
    media[1]->resize(2 << 20);

    (*sizes)->look({{"disk0", disks[0]}},
                   [&](const Result<>& done) { answers += done ? "a" : "x"; });
    (*sizes)->look({{"disk0", disks[0]}, {"disk1", disks[1]}},
                   [&](const Result<>& done) { answers += done ? "b" : "x"; });
    EXPECT_EQ(answers, "");
    while (answers.size() < 2)
        loop.run_one();

    EXPECT_EQ(answers, "ab");
    EXPECT_EQ(sectors(1), 4096u);
    EXPECT_EQ((*sizes)->busy(), std::nullopt);
    EXPECT_TRUE(ended.drain());
}

TEST_F(DiskSizesTest, NoDiskNothingHappens) {
    boost::asio::io_context loop{1};
    const EventFd ended = EventFd::create().value();
    auto sizes = DiskSizes::create(loop, ended);
    ASSERT_TRUE(sizes);
    bool answered = false;

    (*sizes)->look({}, [&](const Result<>& done) { answered = done.has_value(); });
    loop.run_one();

    EXPECT_TRUE(answered);
    // The first look makes the thread.
    const auto lines = said();
    EXPECT_THAT(lines, testing::StartsWith("[info] thread disk-sizes (helper) is "));
    EXPECT_EQ(std::ranges::count(lines, '\n'), 1);
}

TEST_F(DiskSizesTest, AfterItsEndNoDiskIsLookedAt) {
    boost::asio::io_context loop{1};
    const EventFd ended = EventFd::create().value();
    auto sizes = DiskSizes::create(loop, ended);
    ASSERT_TRUE(sizes);
    media[0]->resize(2 << 20);

    (*sizes)->end();
    (*sizes)->look({{"disk0", disks[0]}}, [](const Result<>&) {});
    sizes->reset();

    EXPECT_EQ(sectors(0), 2048u);
}

TEST_F(DiskSizesTest, ForgottenDiskIsLookedAtNoMoreAndTheLookIsAnswered) {
    boost::asio::io_context loop{1};
    const EventFd ended = EventFd::create().value();
    auto sizes = DiskSizes::create(loop, ended);
    ASSERT_TRUE(sizes);
    std::atomic<bool> asked = false;
    std::atomic<bool> told = false;
    media[0]->before_size = [&] {
        asked = true;
        asked.notify_all();
        told.wait(false);
    };
    media[1]->resize(2 << 20);
    bool answered = false;
    (*sizes)->look({{"disk0", disks[0]}, {"disk1", disks[1]}},
                   [&](const Result<>& done) { answered = done.has_value(); });
    asked.wait(false);

    const bool busy_one_forgotten = (*sizes)->forget(*disks[0]);
    const bool later_one_forgotten = (*sizes)->forget(*disks[1]);
    const auto busy = (*sizes)->busy();
    told = true;
    told.notify_all();
    while (!answered)
        loop.run_one();

    EXPECT_FALSE(busy_one_forgotten);
    EXPECT_TRUE(later_one_forgotten);
    EXPECT_EQ(busy, "disk0");
    EXPECT_TRUE((*sizes)->forget(*disks[0]));
    EXPECT_EQ(sectors(1), 2048u);
}

}  // namespace
}  // namespace vmm::machine
