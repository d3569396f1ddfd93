// SPDX-License-Identifier: Apache-2.0
// Requests at random, over every way that a queue has for them, beside a model of the disk.
#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backends/block/block_file_queue.hpp"
#include "backends/block/block_test_support.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

using Kind = BlockRequest::Kind;

constexpr std::size_t kSector = 512;
constexpr std::size_t kParts = 4;  // at most one request of a batch in each
// Neighbours share a unit of 4096 bytes, and the last one of all ends within one.
constexpr std::size_t kPart = 61 * kSector;
constexpr unsigned kBatches = 600;
constexpr auto kNever = std::chrono::hours{1};
constexpr auto kAlways = std::chrono::nanoseconds{0};

struct Setting {
    const char* name;
    bool io_uring;
    bool direct;
    std::size_t unit;  ///< of O_DIRECT
    std::chrono::nanoseconds slow_write;
};

void PrintTo(const Setting& way, std::ostream* out) {
    *out << way.name;
}

/// Aligned as O_DIRECT wants it.
struct Buffer {
    struct Free {
        void operator()(std::byte* unused) const noexcept { std::free(unused); }
    };
    std::unique_ptr<std::byte, Free> memory{
        static_cast<std::byte*>(std::aligned_alloc(4096, 16 * 4096))};
    static_assert(kPart <= 16 * 4096);

    std::span<std::byte> span() const { return {memory.get(), kPart}; }
};

class BlockModelTest : public testing::TestWithParam<Setting> {
protected:
    BlockModelTest() : model_(kParts * kPart) {
        // Beside the build, since the file system of temporary files may not support O_DIRECT.
        std::string path = "block_model_XXXXXX";
        UniqueFd made{::mkstemp(path.data())};
        const int flags = O_RDWR | (GetParam().direct ? O_DIRECT : 0);
        fd_ = UniqueFd{::open(path.c_str(), flags)};
        ::unlink(path.c_str());
        file_ = std::move(made);
        EXPECT_EQ(::ftruncate(file_.get(), static_cast<off_t>(model_.size())), 0);
    }

    std::unique_ptr<BlockFileQueue> queue() {
        BlockFileQueue::Options options{.depth = kParts,
                                        .io_uring = GetParam().io_uring,
                                        .cached_fd = file_.get(),
                                        .slow_write = GetParam().slow_write};
        if (GetParam().direct)
            options.traits = {.direct = true,
                              .memory_unit = kSector,
                              .file_unit = GetParam().unit,
                              .partial_units = GetParam().unit > kSector};
        return std::move(BlockFileQueue::create(fd_.get(), options, nullptr).value());
    }

    std::size_t below(std::size_t end) { return chance_() % end; }

    /// Unlike what any other request writes: each word has its own number.
    void fill(std::span<std::byte> buffer) {
        for (; !buffer.empty(); buffer = buffer.subspan(sizeof written_)) {
            ++written_;
            std::memcpy(buffer.data(), &written_, sizeof written_);
        }
    }

    void make(std::size_t part) {
        BlockRequest& request = requests_[part];
        const std::size_t sectors = 1 + below(kPart / kSector);
        const std::size_t at = part * kPart + below(kPart / kSector - sectors + 1) * kSector;
        const std::size_t bytes = sectors * kSector;
        const auto buffer = buffers_[part].span().first(bytes);
        const auto expected = std::span{model_}.subspan(at, bytes);
        // In two pieces now and then.
        const std::size_t cut = bytes > kSector && below(2) == 0 ? kSector : bytes;
        pieces_[part] = {iovec{buffer.data(), cut}, iovec{buffer.data() + cut, bytes - cut}};
        request = {.offset = at, .length = bytes};
        request.iovecs = std::span{pieces_[part]}.first(cut < bytes ? 2 : 1);
        expected_[part] = expected;
        switch (below(8)) {
            case 0:
                request = {.kind = Kind::Flush};
                return;
            case 1:
                request = {.kind = Kind::WriteZeroes,
                           .unmap = below(2) == 0,
                           .offset = at,
                           .length = bytes};
                std::memset(expected.data(), 0, bytes);
                return;
            case 2:
            case 3:
            case 4:
                request.kind = Kind::Write;
                request.durable = below(8) == 0;
                fill(buffer);
                std::memcpy(expected.data(), buffer.data(), bytes);
                return;
            default:
                std::memset(buffer.data(), 0xee, bytes);
        }
    }

    /// What moved has arrived, in either direction.
    void check(std::size_t part) {
        const BlockRequest& request = requests_[part];
        ASSERT_EQ(request.error, 0);
        if (request.kind == Kind::Read || request.kind == Kind::Write) {
            const std::span<std::byte> expected = expected_[part];
            ASSERT_EQ(std::memcmp(buffers_[part].memory.get(), expected.data(), expected.size()),
                      0);
        }
    }

    void batch(BlockFileQueue& queue) {
        const std::size_t count = below(2) == 0 ? 1 : 1 + below(kParts);
        for (std::size_t part = 0; part < count; ++part) {
            make(part);
            queue.submit(requests_[part]);
        }
        test::finish(queue, count);
        for (std::size_t part = 0; part < count; ++part)
            check(part);
        // A thread that has rested is one that waits for the guest; the other one is behind it.
        if (below(2) == 0) {
            EXPECT_FALSE(queue.arm());
        }
    }

    bool on_file() const {
        std::vector<std::byte> bytes(model_.size());
        return ::pread(file_.get(), bytes.data(), bytes.size(), 0) ==
                   static_cast<ssize_t>(bytes.size()) &&
               std::memcmp(bytes.data(), model_.data(), bytes.size()) == 0;
    }

private:
    std::vector<std::byte> model_;
    std::mt19937_64 chance_{20261128};
    std::uint64_t written_ = 0;
    UniqueFd fd_;
    UniqueFd file_;
    std::array<BlockRequest, kParts> requests_;
    std::array<std::array<iovec, 2>, kParts> pieces_{};
    std::array<Buffer, kParts> buffers_;
    std::array<std::span<std::byte>, kParts> expected_;
};

TEST_P(BlockModelTest, WhatIsReadIsWhatWasWritten) {
    const auto tested = queue();
    for (unsigned i = 0; i < kBatches && !HasFatalFailure(); ++i) {
        SCOPED_TRACE(i);
        batch(*tested);
        ASSERT_TRUE(on_file());
    }
}

INSTANTIATE_TEST_SUITE_P(Ways, BlockModelTest,
                         testing::Values(Setting{"ring", true, false, 1, kNever},
                                         Setting{"ring_slow", true, false, 1, kAlways},
                                         Setting{"ring_direct", true, true, 512, kNever},
                                         Setting{"ring_direct_4k", true, true, 4096, kNever},
                                         Setting{"pool", false, false, 1, kNever},
                                         Setting{"pool_slow", false, false, 1, kAlways},
                                         Setting{"pool_direct", false, true, 512, kNever},
                                         Setting{"pool_direct_4k", false, true, 4096, kNever}),
                         [](const auto& way) { return std::string{way.param.name}; });

}  // namespace
}  // namespace vmm
