// SPDX-License-Identifier: Apache-2.0
// A message put together and written where little may be used: in signal handlers.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace vmm {

/// Text of fixed room; what does not fit is cut off. Async-signal-safe.
class LastWords {
public:
    LastWords& add(std::string_view text) noexcept;
    LastWords& add(std::uint64_t number, unsigned base = 10) noexcept;
    std::string_view view() const noexcept { return {text_.data(), size_}; }

    /// Writes it to standard error if somebody makes room for it within this time.
    /// Async-signal-safe.
    void say(std::chrono::milliseconds at_most) const noexcept;

private:
    std::array<char, 1024> text_{};
    std::size_t size_ = 0;
};

}  // namespace vmm
