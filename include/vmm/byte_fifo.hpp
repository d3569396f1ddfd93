// SPDX-License-Identifier: Apache-2.0
// The FIFO of a UART: bytes that wait, oldest first, in a ring of fixed size.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/stateful.hpp"

namespace vmm {

/// Allocates nothing. What a function requires is the device's to check: no guest can be asked to.
template <std::size_t kSize>
class ByteFifo {
public:
    bool empty() const { return count_ == 0; }
    std::size_t size() const { return count_; }
    void clear() { count_ = 0; }

    /// requires: size() < kSize
    void push(std::uint8_t byte) {
        bytes_[(first_ + count_) % kSize] = std::byte{byte};
        ++count_;
    }
    /// requires: !empty()
    std::uint8_t pop() {
        const auto byte = std::to_integer<std::uint8_t>(bytes_[first_]);
        drop(1);
        return byte;
    }
    /// requires: count <= size()
    void drop(std::size_t count) {
        first_ = (first_ + count) % kSize;
        count_ -= count;
    }

    /// The oldest bytes that lie in a row in memory: all but what wrapped around.
    std::span<const std::byte> front() const {
        return std::span{bytes_}.subspan(first_, std::min(count_, kSize - first_));
    }

    void save(StateWriter& to) const {
        to.put(static_cast<std::uint8_t>(count_));
        for (std::size_t i = 0; i < count_; ++i)
            to.put(std::to_integer<std::uint8_t>(bytes_[(first_ + i) % kSize]));
    }
    /// At most `capacity` bytes, which is at most kSize; `name` is for errors.
    static ByteFifo restored(StateReader& from, std::string_view name, std::size_t capacity) {
        const auto count = from.get<std::uint8_t>(name, static_cast<std::uint8_t>(capacity));
        ByteFifo fifo;
        for (unsigned i = 0; i < count; ++i)
            fifo.push(from.get<std::uint8_t>(name));
        return fifo;
    }

private:
    static_assert(kSize <= 0xff, "its state counts in a byte");

    std::array<std::byte, kSize> bytes_{};
    std::size_t first_ = 0;
    std::size_t count_ = 0;
};

}  // namespace vmm
