// SPDX-License-Identifier: Apache-2.0
#include "backends/net/frame_batch.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

using Status = FrameIo::Status;

/// A socket that keeps messages apart, as a tap keeps frames; both ends do not block.
class FrameBatchTest : public testing::TestWithParam<bool> {
protected:
    FrameBatchTest() {
        std::array<int, 2> ends{};
        EXPECT_EQ(
            ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()),
            0);
        near_ = UniqueFd{ends[0]};
        far_ = UniqueFd{ends[1]};
        std::signal(SIGPIPE, SIG_IGN);
    }

    /// The next `count` numbers as frames.
    void add(FrameBatch& batch, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::string text = std::to_string(next_++);
            batch.add(std::as_bytes(std::span{text}));
        }
    }
    void arrive() {
        std::array<char, 64> text{};
        for (ssize_t size = 0; (size = ::read(far_.get(), text.data(), text.size())) > 0;)
            arrived_.push_back(
                std::stoul(std::string{text.data(), static_cast<std::size_t>(size)}));
    }
    /// So many were sent so far, and each arrived once.
    void expect_all() {
        std::ranges::sort(arrived_);
        ASSERT_EQ(arrived_.size(), next_);
        for (std::size_t i = 0; i < next_; ++i)
            ASSERT_EQ(arrived_[i], i);
    }
    /// Enough batches for the ring to come.
    void warm_up(FrameBatch& batch) {
        for (int i = 0; i < 20; ++i) {
            add(batch, 16);
            ASSERT_EQ(batch.send(), Status::Done);
            arrive();
        }
        ASSERT_TRUE(std::ranges::is_sorted(arrived_)) << "frames changed places";
        expect_all();
    }

    UniqueFd near_;
    UniqueFd far_;
    std::size_t next_ = 0;
    std::vector<std::size_t> arrived_;
};

INSTANTIATE_TEST_SUITE_P(WithAndWithoutIoUring, FrameBatchTest, testing::Bool());

TEST_P(FrameBatchTest, SendsAFrameInOrder) {
    FrameBatch batch{near_.get(), GetParam()};
    EXPECT_TRUE(batch.empty());
    add(batch, 1);
    EXPECT_FALSE(batch.empty());
    arrive();
    EXPECT_TRUE(arrived_.empty()) << "sent before it was asked to";
    EXPECT_EQ(batch.send(), Status::Done);
    EXPECT_TRUE(batch.empty());
    arrive();
    expect_all();
    warm_up(batch);
    EXPECT_EQ(batch.take_lost(), 0u);
}

TEST_P(FrameBatchTest, MakesARingOnlyOnceBatchesAreWorthIt) {
    FrameBatch batch{near_.get(), GetParam()};
    for (int i = 0; i < 100; ++i) {
        add(batch, 2);
        ASSERT_EQ(batch.send(), Status::Done);
        arrive();
    }
    EXPECT_FALSE(batch.sends_by_ring());
    warm_up(batch);
    io_uring probe{};
    const bool can = io_uring_queue_init(1, &probe, 0) == 0;
    if (can)
        io_uring_queue_exit(&probe);
    EXPECT_EQ(batch.sends_by_ring(), can && GetParam());
}

TEST_P(FrameBatchTest, KeepsWhatThereIsNoRoomFor) {
    const int small = 1;  // the kernel's least
    ASSERT_EQ(::setsockopt(near_.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    FrameBatch batch{near_.get(), GetParam()};
    for (int rounds = 0; rounds < 40; ++rounds) {
        add(batch, FrameBatch::kFrames);
        unsigned waits = 0;
        Status status = Status::Again;
        while ((status = batch.send()) == Status::Again) {
            ASSERT_LT(++waits, 100u);
            EXPECT_FALSE(batch.empty());
            arrive();
        }
        ASSERT_EQ(status, Status::Done);
        EXPECT_GT(waits, 0u) << "the socket had room for all";
        arrive();
    }
    expect_all();
    EXPECT_EQ(batch.take_lost(), 0u);
}

TEST_P(FrameBatchTest, CountsWhatTheKernelDoesNotWant) {
    FrameBatch batch{near_.get(), GetParam()};
    warm_up(batch);
    far_ = UniqueFd{};
    add(batch, 16);
    EXPECT_EQ(batch.send(), Status::Done);
    EXPECT_EQ(batch.take_lost(), 16u);
    EXPECT_EQ(batch.take_lost(), 0u);
}

TEST_P(FrameBatchTest, SaysWhenTheTapIsGone) {
    const UniqueFd unwritable{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    // A ring keeps the file that it was made for: TapTest deletes a real interface under one.
    FrameBatch batch{near_.get(), false};
    warm_up(batch);
    ASSERT_GE(::dup3(unwritable.get(), near_.get(), O_CLOEXEC), 0);
    add(batch, 16);
    EXPECT_EQ(batch.send(), Status::Gone);
    add(batch, 1);
    EXPECT_EQ(batch.send(), Status::Gone);
}

TEST_P(FrameBatchTest, HasRoomForTheLongest) {
    FrameBatch batch{near_.get(), GetParam()};
    const std::string long_one(FrameBatch::kLongest, 'x');
    for (std::size_t i = 0; i < FrameBatch::kFrames; ++i) {
        EXPECT_FALSE(batch.full());
        batch.add(std::as_bytes(std::span{long_one}));
    }
    EXPECT_TRUE(batch.full());
    EXPECT_EQ(batch.send(), Status::Done);
    std::array<char, 2 * FrameBatch::kLongest> text{};
    for (std::size_t i = 0; i < FrameBatch::kFrames; ++i)
        EXPECT_EQ(::read(far_.get(), text.data(), text.size()),
                  static_cast<ssize_t>(FrameBatch::kLongest));
}

}  // namespace
}  // namespace vmm
