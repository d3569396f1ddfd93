// SPDX-License-Identifier: Apache-2.0
#include "backends/char/channel_output.hpp"

#include <poll.h>
#include <sys/epoll.h>

#include <cstring>
#include <thread>
#include <utility>

#include "backends/char/one_shot_timer.hpp"
#include "vmm/log.hpp"

namespace vmm {
namespace {

using std::chrono::milliseconds;

// A user that was stopped is told only when this much is free, so that it does not stop and go with
// each byte a slow reader takes; but once it has waited for so long, any byte is worth it, since
// one that hears nothing takes the reader for gone.
constexpr std::size_t kRoomWorthTelling = CharBackend::kBufferSize / 4;  // bytes
constexpr milliseconds kWaitWorthTelling{250};

// With this much waiting the loop does not sleep out its millisecond.
constexpr std::size_t kHurry = CharBackend::kBufferSize / 2;  // bytes

std::string why(int error) {
    return error == 0 ? std::string{"nobody takes it"} : std::string{::strerrordesc_np(error)};
}

}  // namespace

ChannelOutput::ChannelOutput(Names names, Mode mode, milliseconds patience, const EventFd& wake,
                             UniqueFd timer, ChannelEvents events, ChannelOutputOwner& owner)
    : names_{std::move(names)},
      direct_{mode == Mode::Direct},
      patience_{patience},
      wake_{wake},
      timer_{std::move(timer)},
      events_{events},
      owner_{owner},
      ring_{CharBackend::kBufferSize},
      swallow_{mode == Mode::Nowhere},
      count_lost_{mode != Mode::Nowhere} {}

// ---- the user's side

std::size_t ChannelOutput::write(std::span<const std::byte> bytes) noexcept {
    std::unique_lock<Mutex> lock{lock_};
    if (swallow_ || dropping_)
        return swallow(bytes);
    const std::size_t taken = ring_.push(bytes);
    if (taken < bytes.size() && !std::exchange(starved_, true)) {
        starved_since_ = SteadyClock::now();
        wake_.signal();  // the loop sees to it that this has an end, whoever else wakes it
    }
    // A line is written whole and at once: somebody may act on it. What comes in between waits for
    // company, except for the first byte after a pause.
    const bool line = !bytes.empty() && bytes.back() == std::byte{'\n'};
    if (line || (!awake_ && !recently()))
        write_here(lock);
    if (!awake_)
        see_to_it();
    else if (ring_.used() > kHurry && !std::exchange(hurried_, true))
        wake_.signal();
    return taken;
}

/// By this thread, if that cannot make it wait.
void ChannelOutput::write_here(std::unique_lock<Mutex>& lock) noexcept {
    if (!direct_ || writing_ || blocked_ || ring_.empty() || !out_.writes_at_once())
        return;
    writing_ = true;
    const auto bytes = ring_.front();
    lock.unlock();
    const auto moved = out_.write(bytes);
    lock.lock();
    ring_.drop(moved.bytes);
    writing_ = false;
    last_write_ = SteadyClock::now();
}

/// The loop sleeps: sees that it comes if there is something for it.
void ChannelOutput::see_to_it() noexcept {
    if (ring_.empty() && !starved_)
        return;
    awake_ = true;
    if (recently())
        start_timer(kTogether);
    else
        wake_.signal();
}

std::size_t ChannelOutput::swallow(std::span<const std::byte> bytes) noexcept {
    if (count_lost_)
        count_lost_locked(bytes.size(), swallow_error_);
    return bytes.size();
}

void ChannelOutput::count_lost_locked(std::size_t bytes, int error) noexcept {
    if (error == 0) {
        lost_.unread += bytes;
        return;
    }
    lost_.unwritten += bytes;
    lost_.error = error;
}

void ChannelOutput::count_lost(std::size_t bytes) noexcept {
    const std::lock_guard lock{lock_};
    if (count_lost_)
        count_lost_locked(bytes, swallow_error_);
}

void ChannelOutput::start_timer(std::chrono::nanoseconds after) noexcept {
    start_once(timer_, after);
}

void ChannelOutput::attach(ByteChannelUser& user, Mutex& lock) noexcept {
    user_ = &user;
    user_lock_ = &lock;
    tell_room();
}

void ChannelOutput::detach() noexcept {
    user_ = nullptr;
    user_lock_ = nullptr;
}

// ---- the loop's side

void ChannelOutput::set(HostStream stream) noexcept {
    events_.disarm(out_);
    out_ = std::move(stream);
    if (out_)
        flush();
}

/// The bytes to write next; the caller must release() them. None: the loop may sleep.
std::span<const std::byte> ChannelOutput::claim() noexcept {
    const std::lock_guard lock{lock_};
    if (writing_) {
        awake_ = false;  // a vCPU thread is at it, and calls us for what it leaves
        hurried_ = false;
        return {};
    }
    if (ring_.empty()) {
        awake_ = false;
        hurried_ = false;
        return {};
    }
    if (!out_) {
        awake_ = true;  // nothing to come for until somebody connects
        return {};
    }
    writing_ = true;
    return ring_.front();
}

void ChannelOutput::release(std::size_t written, bool blocked) noexcept {
    const std::lock_guard lock{lock_};
    ring_.drop(written);
    writing_ = false;
    blocked_ = blocked;
    last_write_ = SteadyClock::now();
}

void ChannelOutput::flush() noexcept {
    for (auto bytes = claim(); !bytes.empty(); bytes = claim()) {
        const auto moved = out_.write(bytes);
        release(moved.bytes, moved.flow == HostStream::Flow::Blocked);
        if (moved.flow == HostStream::Flow::Blocked) {
            wait_for_output();
            break;
        }
        if (moved.flow == HostStream::Flow::Ended) {
            owner_.output_ended(moved.error);
            break;
        }
        if (moved.error != 0)
            lose_buffered(moved.error);
    }
    see_reader();
    tell_room();
}

/// Ends the dropping once a good part of the buffer is read.
void ChannelOutput::see_reader() noexcept {
    std::uint64_t dropped = 0;
    {
        const std::lock_guard lock{lock_};
        if (!dropping_ || ring_.room() < kRoomWorthTelling)
            return;
        dropping_ = false;
        if (std::exchange(told_drops_, true))  // a reader that comes and goes fills no log
            return;
        dropped = std::exchange(lost_.unread, 0);
    }
    log::warn(names_.name, ": ", dropped, " bytes of output were dropped while nobody read them");
}

void ChannelOutput::wait_for_output() noexcept {
    if (!events_.arm(out_.fd(), ChannelEvent::Output, EPOLLOUT))
        start_timer(kTogether);
}

/// What another thread writes just now is not lost and not ours to drop; its write does not wait.
void ChannelOutput::lose_waiting(std::unique_lock<Mutex>& lock, int error) noexcept {
    while (writing_) {
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
    }
    count_lost_locked(ring_.used(), error);
    ring_.drop(ring_.used());
    dropping_ = false;
}

/// For good: the terminal or pipe is gone.
void ChannelOutput::lose(int error) noexcept {
    {
        std::unique_lock<Mutex> lock{lock_};
        lose_waiting(lock, error);
        swallow_ = true;
        swallow_error_ = error;
    }
    if (error != 0)
        log::warn(names_.name, ": output is lost from here on: ", why(error));
}

/// For now: the disk is full, later bytes may find room.
void ChannelOutput::lose_buffered(int error) noexcept {
    {
        std::unique_lock<Mutex> lock{lock_};
        lose_waiting(lock, error);
    }
    if (!std::exchange(told_full_, true))
        log::warn(names_.name, ": output to ",
                  names_.place.empty() ? "standard output" : names_.place,
                  " is lost: ", why(error));
}

void ChannelOutput::tell_room() noexcept {
    if (user_ == nullptr)
        return;
    bool gives_up = false;
    {
        const std::lock_guard lock{lock_};
        if (!starved_)
            return;
        const auto waited = SteadyClock::now() - starved_since_;
        const auto limit = ring_.room() == 0 ? patience_ : kWaitWorthTelling;
        if (ring_.room() < kRoomWorthTelling && waited < limit) {
            start_timer(limit - waited);
            return;
        }
        starved_ = false;
        dropping_ = gives_up = ring_.room() == 0;
    }
    if (gives_up)
        log::info(names_.name, ": nobody reads the output; it is dropped until somebody does");
    const std::lock_guard user_lock{*user_lock_};
    user_->on_room();
}

bool ChannelOutput::drained() const noexcept {
    const std::lock_guard lock{lock_};
    return ring_.empty();
}

bool ChannelOutput::has_reader() const noexcept {
    const std::lock_guard lock{lock_};
    return out_ || swallow_;
}

void ChannelOutput::write_until(SteadyClock::time_point end) noexcept {
    for (flush(); out_ && !drained() && milliseconds_until(end) > 0; flush()) {
        pollfd asked{.fd = out_.fd(), .events = POLLOUT, .revents = 0};
        ::poll(&asked, 1, milliseconds_until(end));
    }
}

LostOutput ChannelOutput::give_up() noexcept {
    std::unique_lock<Mutex> lock{lock_};
    lose_waiting(lock, 0);
    lost_.unread += owner_.take_back_unread();
    return lost_;
}

}  // namespace vmm
