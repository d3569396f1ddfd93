// SPDX-License-Identifier: Apache-2.0
#include "backends/char/channel_input.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <mutex>

namespace vmm {

ChannelInput::ChannelInput(const EventFd& wake, ChannelEvents events, ChannelInputOwner& owner)
    : wake_{wake},
      events_{events},
      owner_{owner},
      bytes_{std::make_unique_for_overwrite<std::byte[]>(kSize)} {}

void ChannelInput::resume() noexcept {
    if (!resume_asked_.exchange(true))
        wake_.signal();
}

void ChannelInput::attach(ByteChannelUser& user, Mutex& lock) noexcept {
    user_ = &user;
    user_lock_ = &lock;
    blocked_ = false;
    offer();
}

void ChannelInput::detach() noexcept {
    user_ = nullptr;
    user_lock_ = nullptr;
    events_.disarm(in_);
}

void ChannelInput::woken() noexcept {
    if (resume_asked_.exchange(false)) {
        blocked_ = false;
        offer();
    }
    if (std::exchange(read_again_, false))
        read();
}

void ChannelInput::set(HostStream stream) noexcept {
    events_.disarm(in_);
    in_ = std::move(stream);
    if (user_ != nullptr)
        wait();
}

void ChannelInput::read() noexcept {
    const auto room = std::span{bytes_.get(), kSize}.subspan(used_);
    if (user_ == nullptr || !in_ || room.empty())
        return;
    if (!owner_.may_read()) {
        owner_.input_waits();
        return;
    }
    const auto moved = in_.read(room);
    used_ += owner_.filter_input(room.first(moved.bytes));
    if (moved.flow == HostStream::Flow::Ended)
        owner_.input_ended();
    offer();
}

void ChannelInput::read_past() noexcept {
    if (user_ == nullptr || !in_ || !owner_.may_read())
        return;
    std::array<std::byte, kSize> past{};
    const auto moved = in_.read(past);
    static_cast<void>(owner_.filter_input(std::span{past}.first(moved.bytes)));
}

void ChannelInput::offer() noexcept {
    if (user_ == nullptr)
        return;
    if (used_ > 0 && !blocked_) {
        const auto waiting = std::span{bytes_.get(), used_};
        std::size_t taken = 0;
        {
            const std::lock_guard lock{*user_lock_};
            taken = std::min(user_->receive(waiting), waiting.size());
        }
        std::copy(waiting.begin() + static_cast<std::ptrdiff_t>(taken), waiting.end(),
                  waiting.begin());
        used_ -= taken;
        taken_ = taken_ || taken > 0;
        blocked_ = used_ > 0;
    }
    wait();
}

void ChannelInput::wait() noexcept {
    if (!in_)
        return;
    if (used_ == kSize) {
        events_.arm(in_.fd(), ChannelEvent::Input, 0);  // full: only a hang-up is news
        owner_.input_waits();
        return;
    }
    if (events_.arm(in_.fd(), ChannelEvent::Input, EPOLLIN))
        return;
    // A file: always readable, so there is nothing to wait for. One piece each time round the loop.
    read_again_ = true;
    wake_.signal();
}

}  // namespace vmm
