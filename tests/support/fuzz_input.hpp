// SPDX-License-Identifier: Apache-2.0
// The bytes of a fuzzer, taken one value at a time. When they run out, everything is zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace vmm::test {

class FuzzInput {
public:
    FuzzInput(const std::uint8_t* data, std::size_t size) : rest_{data, size} {}

    bool empty() const { return rest_.empty(); }

    template <class T>
    requires std::is_trivially_copyable_v<T> T take() {
        T value{};
        const std::size_t size = std::min(sizeof value, rest_.size());
        std::memcpy(&value, rest_.data(), size);
        rest_ = rest_.subspan(size);
        return value;
    }
    std::span<const std::uint8_t> take_bytes(std::size_t size) {
        const auto bytes = rest_.first(std::min(size, rest_.size()));
        rest_ = rest_.subspan(bytes.size());
        return bytes;
    }

private:
    std::span<const std::uint8_t> rest_;
};

}  // namespace vmm::test
