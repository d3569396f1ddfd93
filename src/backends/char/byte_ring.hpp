// SPDX-License-Identifier: Apache-2.0
// A byte queue of fixed size.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace vmm {

/// Not thread-safe.
class ByteRing {
public:
    /// The memory is not touched before it is used. Requires: size > 0.
    explicit ByteRing(std::size_t size)
        : size_{size}, bytes_{std::make_unique_for_overwrite<std::byte[]>(size)} {}

    bool empty() const { return written_ == taken_; }
    std::size_t used() const { return static_cast<std::size_t>(written_ - taken_); }
    std::size_t room() const { return size_ - used(); }

    /// As much as fits, from the front; says how much that was.
    std::size_t push(std::span<const std::byte> bytes) {
        const std::size_t count = std::min(bytes.size(), room());
        const std::size_t at = written_ % size_;
        const std::size_t first = std::min(count, size_ - at);
        std::copy_n(bytes.begin(), first, bytes_.get() + at);
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(first), count - first,
                    bytes_.get());
        written_ += count;
        return count;
    }

    /// The oldest bytes that lie in a row in memory; they stay where they are until drop().
    std::span<const std::byte> front() const {
        const std::size_t at = taken_ % size_;
        return {bytes_.get() + at, std::min(used(), size_ - at)};
    }

    /// Requires: count <= used().
    void drop(std::size_t count) { taken_ += count; }

private:
    std::size_t size_;
    std::unique_ptr<std::byte[]> bytes_;
    std::uint64_t written_ = 0;  // since the start
    std::uint64_t taken_ = 0;    // since the start
};

}  // namespace vmm
