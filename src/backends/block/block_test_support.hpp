// SPDX-License-Identifier: Apache-2.0
// What the tests of disks share.
#pragma once

#include <linux/fs.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/block/block_io.hpp"
#include "vmm/block_backend.hpp"
#include "vmm/text.hpp"

namespace vmm::test {

/// Starts what was submitted and waits until so many are done.
inline void finish(BlockQueue& queue, std::size_t count) {
    queue.commit();
    for (std::size_t done = 0; done < count;) {
        if (queue.reap() != nullptr)
            ++done;
        else
            queue.wait();
    }
}

/// A medium that does what its script says, then the whole of each call.
class ScriptedCalls : public BlockCalls {
public:
    std::string bytes = std::string(4096, '.');
    std::deque<int> script;  ///< positive: bytes at most; 0: none; negative: an errno
    std::vector<std::string> seen;

    ssize_t read(std::span<const iovec> to, std::uint64_t offset, int flags) noexcept override {
        return move("read", to, offset, flags, [&](const iovec& piece, char* at, std::size_t n) {
            std::memcpy(piece.iov_base, at, n);
        });
    }
    ssize_t write(std::span<const iovec> from, std::uint64_t offset, int flags) noexcept override {
        return move("write", from, offset, flags, [&](const iovec& piece, char* at, std::size_t n) {
            std::memcpy(at, piece.iov_base, n);
        });
    }
    ssize_t write_cached(std::span<const std::byte> from, std::uint64_t offset) noexcept override {
        const iovec piece{const_cast<std::byte*>(from.data()), from.size()};
        return move(
            "cached", {&piece, 1}, offset, 0,
            [&](const iovec& all, char* at, std::size_t n) { std::memcpy(at, all.iov_base, n); });
    }
    std::uint64_t size() noexcept override { return bytes.size(); }
    int flush() noexcept override { return simple("flush"); }
    int fallocate(int mode, std::uint64_t offset, std::uint64_t length) noexcept override {
        return simple(cat("fallocate ", mode, " ", offset, "+", length));
    }
    int block_ioctl(unsigned long request, std::uint64_t offset,
                    std::uint64_t length) noexcept override {
        return simple(cat(request == BLKDISCARD ? "discard " : "zeroout ", offset, "+", length));
    }

private:
    int next(int otherwise) {
        if (script.empty())
            return otherwise;
        const int step = script.front();
        script.pop_front();
        return step;
    }
    int simple(std::string what) {
        seen.push_back(std::move(what));
        const int step = next(0);
        errno = -step;
        return step < 0 ? -1 : 0;
    }
    template <class Move>
    ssize_t move(const char* what, std::span<const iovec> pieces, std::uint64_t offset, int flags,
                 Move&& one) {
        std::size_t total = 0;
        for (const iovec& piece : pieces)
            total += piece.iov_len;
        seen.push_back(cat(what, " ", offset, "+", total, flags != 0 ? cat(" f", flags) : ""));
        const int step = next(static_cast<int>(total));
        if (step < 0) {
            errno = -step;
            return -1;
        }
        std::size_t left = std::min(total, static_cast<std::size_t>(step));
        if (std::string_view{what} == "read")
            left = std::min(left, bytes.size() - std::min(bytes.size(), offset));
        else if (offset + left > bytes.size())
            bytes.resize(offset + left);  // as a file becomes longer
        const std::size_t moved = left;
        char* at = bytes.data() + offset;
        for (const iovec& piece : pieces) {
            const std::size_t n = std::min(left, piece.iov_len);
            one(piece, at, n);
            at += n;
            left -= n;
        }
        return static_cast<ssize_t>(moved);
    }
};

}  // namespace vmm::test
