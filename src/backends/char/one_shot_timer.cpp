// SPDX-License-Identifier: Apache-2.0
#include "backends/char/one_shot_timer.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace vmm {

Result<UniqueFd> make_one_shot_timer() {
    UniqueFd timer{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
    if (!timer)
        return std::unexpected(Error::os("timerfd_create", errno));
    return timer;
}

void start_once(const UniqueFd& timer, std::chrono::nanoseconds after) noexcept {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(after);
    itimerspec when{};
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = (after - seconds).count();
    ::timerfd_settime(timer.get(), 0, &when, nullptr);
}

void stop_timer(const UniqueFd& timer) noexcept {
    const itimerspec never{};
    ::timerfd_settime(timer.get(), 0, &never, nullptr);
}

bool take_expiry(const UniqueFd& timer) noexcept {
    std::uint64_t times = 0;
    return ::read(timer.get(), &times, sizeof times) == sizeof times;
}

}  // namespace vmm
