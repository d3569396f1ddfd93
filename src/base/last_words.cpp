// SPDX-License-Identifier: Apache-2.0
#include "vmm/last_words.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace vmm {

LastWords& LastWords::add(std::string_view text) noexcept {
    const auto taken = text.substr(0, text_.size() - size_);
    std::ranges::copy(taken, text_.data() + size_);
    size_ += taken.size();
    return *this;
}

LastWords& LastWords::add(std::uint64_t number, unsigned base) noexcept {
    std::array<char, 64> digits{};
    std::size_t at = digits.size();
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    return add({digits.data() + at, digits.size() - at});
}

// A pipe that poll() calls writable has room for PIPE_BUF bytes, which is more than there are.
void LastWords::say(std::chrono::milliseconds at_most) const noexcept {
    const int kept = errno;
    pollfd error{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&error, 1, static_cast<int>(at_most.count())) == 1) [[maybe_unused]]
        const auto written = ::write(STDERR_FILENO, text_.data(), size_);
    errno = kept;
}

}  // namespace vmm
