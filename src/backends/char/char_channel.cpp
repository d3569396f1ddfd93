// SPDX-License-Identifier: Apache-2.0
#include "backends/char/char_channel.hpp"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "backends/char/one_shot_timer.hpp"

namespace vmm {
namespace {

bool add(int epoll, int fd, std::uint8_t event, std::uint32_t flags) {
    epoll_event wanted{};
    wanted.events = flags;
    wanted.data.u32 = event;
    return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0;
}

}  // namespace

Result<CharChannel::Parts> CharChannel::Parts::create() {
    EventFd wake = VMM_TRY(EventFd::create());
    UniqueFd timer = VMM_TRY(make_one_shot_timer());
    UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    if (!epoll)
        return std::unexpected(Error::os("epoll_create1", errno));

    // Edge triggered: nobody has to read the counters.
    if (!add(epoll.get(), wake.fd(), std::to_underlying(ChannelEvent::Wake), EPOLLIN | EPOLLET) ||
        !add(epoll.get(), timer.get(), std::to_underlying(ChannelEvent::Timer), EPOLLIN | EPOLLET))
        return std::unexpected(Error::os("epoll_ctl", errno));
    return Parts{std::move(wake), std::move(timer), std::move(epoll)};
}

CharChannel::CharChannel(boost::asio::io_context& loop, Parts parts,
                         const CharBackendConfig& config, std::string place, Output output)
    : wake_{std::move(parts.wake)},
      events_{parts.epoll.get()},
      output_{{.name = config.name, .place = std::move(place)},
              output,
              config.patience,
              wake_,
              std::move(parts.timer),
              events_,
              *this},
      input_{wake_, events_, *this},
      hook_{loop, std::move(parts.epoll), [this]() noexcept { dispatch(); }} {}

CharChannel::~CharChannel() = default;

void CharChannel::attach(ByteChannelUser& user, Mutex& lock) noexcept {
    input_.attach(user, lock);
    output_.attach(user, lock);
}

void CharChannel::detach() noexcept {
    output_.detach();
    input_.detach();
}

void CharChannel::dispatch() noexcept {
    std::array<epoll_event, 8> events{};
    const int count =
        ::epoll_wait(events_.fd(), events.data(), static_cast<int>(events.size()), /*timeout=*/0);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        dispatch_one(static_cast<ChannelEvent>(event.data.u32), event.events);
    }
}

void CharChannel::dispatch_one(ChannelEvent event, std::uint32_t flags) noexcept {
    switch (event) {
        case ChannelEvent::Wake:
            woken();
            input_.woken();
            output_.flush();
            break;
        case ChannelEvent::Timer:
        case ChannelEvent::Output:
            output_.flush();
            break;
        case ChannelEvent::Input:
            input_.read();
            if ((flags & (EPOLLHUP | EPOLLERR)) != 0)
                peer_left();
            break;
        case ChannelEvent::Watched:
            watched_ready();
            break;
    }
}

bool CharChannel::push() noexcept {
    output_.flush();
    return output_.drained() && unread_output() == 0;
}

LostOutput CharChannel::drain(std::chrono::milliseconds limit) noexcept {
    const auto end = std::chrono::steady_clock::now() + limit;
    output_.write_until(end);
    // Nothing tells us when the other side of a pty reads.
    while (unread_output() > 0 && milliseconds_until(end) > 0)
        ::poll(nullptr, 0, std::min(milliseconds_until(end), 5));
    return output_.give_up();
}

void CharChannel::watch(int fd) noexcept {
    events_.arm(fd, ChannelEvent::Watched, EPOLLIN);
}

}  // namespace vmm
