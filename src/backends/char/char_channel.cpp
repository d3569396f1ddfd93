// SPDX-License-Identifier: Apache-2.0
#include "backends/char/char_channel.hpp"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
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

bool add(int epoll, int fd, std::uint8_t event, std::uint32_t flags) {
    epoll_event wanted{};
    wanted.events = flags;
    wanted.data.u32 = event;
    return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0;
}

std::string why(int error) {
    return error == 0 ? std::string{"nobody takes it"} : std::string{::strerrordesc_np(error)};
}

}  // namespace

Result<CharChannel::Parts> CharChannel::Parts::create() {
    EventFd wake = VMM_TRY(EventFd::create());
    UniqueFd timer = VMM_TRY(make_one_shot_timer());
    UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    if (!epoll)
        return std::unexpected(Error::os("epoll_create1", errno));

    // Edge triggered: nobody has to read the counters.
    if (!add(epoll.get(), wake.fd(), std::to_underlying(Event::Wake), EPOLLIN | EPOLLET) ||
        !add(epoll.get(), timer.get(), std::to_underlying(Event::Timer), EPOLLIN | EPOLLET))
        return std::unexpected(Error::os("epoll_ctl", errno));
    return Parts{std::move(wake), std::move(timer), std::move(epoll)};
}

CharChannel::CharChannel(boost::asio::io_context& loop, Parts parts,
                         const CharBackendConfig& config, std::string place, Output output)
    : name_{config.name},
      place_{std::move(place)},
      direct_{output == Output::Direct},
      patience_{config.patience},
      wake_{std::move(parts.wake)},
      timer_{std::move(parts.timer)},
      epoll_{parts.epoll.get()},
      input_{std::make_unique_for_overwrite<std::byte[]>(kInputSize)},
      ring_{kBufferSize},
      swallow_{output == Output::Nowhere},
      count_lost_{output != Output::Nowhere},
      hook_{loop, std::move(parts.epoll), [this]() noexcept { dispatch(); }} {}

CharChannel::~CharChannel() = default;

// ---- the user's side

std::size_t CharChannel::write(std::span<const std::byte> bytes) noexcept {
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
void CharChannel::write_here(std::unique_lock<Mutex>& lock) noexcept {
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
void CharChannel::see_to_it() noexcept {
    if (ring_.empty() && !starved_)
        return;
    awake_ = true;
    if (recently())
        start_timer(kTogether);
    else
        wake_.signal();
}

std::size_t CharChannel::swallow(std::span<const std::byte> bytes) noexcept {
    if (count_lost_)
        count_lost_locked(bytes.size(), swallow_error_);
    return bytes.size();
}

void CharChannel::count_lost_locked(std::size_t bytes, int error) noexcept {
    if (error == 0) {
        lost_.unread += bytes;
        return;
    }
    lost_.unwritten += bytes;
    lost_.error = error;
}

void CharChannel::count_lost(std::size_t bytes) noexcept {
    const std::lock_guard lock{lock_};
    if (count_lost_)
        count_lost_locked(bytes, swallow_error_);
}

void CharChannel::start_timer(std::chrono::nanoseconds after) noexcept {
    start_once(timer_, after);
}

void CharChannel::resume_input() noexcept {
    if (!resume_asked_.exchange(true))
        wake_.signal();
}

void CharChannel::attach(ByteChannelUser& user, Mutex& lock) noexcept {
    user_ = &user;
    user_lock_ = &lock;
    input_blocked_ = false;
    offer_input();
    tell_room();
}

void CharChannel::detach() noexcept {
    user_ = nullptr;
    user_lock_ = nullptr;
    disarm(in_);
}

// ---- the loop's side

void CharChannel::dispatch() noexcept {
    std::array<epoll_event, 8> events{};
    const int count =
        ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), /*timeout=*/0);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        dispatch_one(static_cast<Event>(event.data.u32), event.events);
    }
}

void CharChannel::dispatch_one(Event event, std::uint32_t flags) noexcept {
    switch (event) {
        case Event::Wake:
            woken();
            if (resume_asked_.exchange(false)) {
                input_blocked_ = false;
                offer_input();
            }
            if (std::exchange(read_again_, false))
                read_input();
            flush();
            break;
        case Event::Timer:
        case Event::Output:
            flush();
            break;
        case Event::Input:
            read_input();
            if ((flags & (EPOLLHUP | EPOLLERR)) != 0)
                peer_left();
            break;
        case Event::Watched:
            watched_ready();
            break;
    }
}

void CharChannel::set_output(HostStream stream) noexcept {
    disarm(out_);
    out_ = std::move(stream);
    if (out_)
        flush();
}

/// The bytes to write next; the caller must release() them. None: the loop may sleep.
std::span<const std::byte> CharChannel::claim() noexcept {
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

void CharChannel::release(std::size_t written, bool blocked) noexcept {
    const std::lock_guard lock{lock_};
    ring_.drop(written);
    writing_ = false;
    blocked_ = blocked;
    last_write_ = SteadyClock::now();
}

void CharChannel::flush() noexcept {
    for (auto bytes = claim(); !bytes.empty(); bytes = claim()) {
        const auto moved = out_.write(bytes);
        release(moved.bytes, moved.flow == HostStream::Flow::Blocked);
        if (moved.flow == HostStream::Flow::Blocked) {
            wait_for_output();
            break;
        }
        if (moved.flow == HostStream::Flow::Ended) {
            output_ended(moved.error);
            break;
        }
        if (moved.error != 0)
            lose_buffered(moved.error);
    }
    see_reader();
    tell_room();
}

/// Ends the dropping once a good part of the buffer is read.
void CharChannel::see_reader() noexcept {
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
    log::warn(name_, ": ", dropped, " bytes of output were dropped while nobody read them");
}

void CharChannel::wait_for_output() noexcept {
    if (!arm(out_.fd(), Event::Output, EPOLLOUT))
        start_timer(kTogether);
}

/// What another thread writes just now is not lost and not ours to drop; its write does not wait.
void CharChannel::lose_waiting(std::unique_lock<Mutex>& lock, int error) noexcept {
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
void CharChannel::lose_output(int error) noexcept {
    {
        std::unique_lock<Mutex> lock{lock_};
        lose_waiting(lock, error);
        swallow_ = true;
        swallow_error_ = error;
    }
    if (error != 0)
        log::warn(name_, ": output is lost from here on: ", why(error));
}

/// For now: the disk is full, later bytes may find room.
void CharChannel::lose_buffered(int error) noexcept {
    {
        std::unique_lock<Mutex> lock{lock_};
        lose_waiting(lock, error);
    }
    if (!std::exchange(told_full_, true))
        log::warn(name_, ": output to ", place_.empty() ? "standard output" : place_,
                  " is lost: ", why(error));
}

void CharChannel::tell_room() noexcept {
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
        log::info(name_, ": nobody reads the output; it is dropped until somebody does");
    const std::lock_guard user_lock{*user_lock_};
    user_->on_room();
}

bool CharChannel::drained() const noexcept {
    const std::lock_guard lock{lock_};
    return ring_.empty();
}

bool CharChannel::push() noexcept {
    flush();
    return drained() && unread_output() == 0;
}

bool CharChannel::has_reader() const noexcept {
    const std::lock_guard lock{lock_};
    return out_ || swallow_;
}

LostOutput CharChannel::drain(milliseconds limit) noexcept {
    const auto end = SteadyClock::now() + limit;
    const auto left = [end] {
        const auto time = std::chrono::ceil<milliseconds>(end - SteadyClock::now());
        return static_cast<int>(std::clamp(time, milliseconds{0}, milliseconds{100}).count());
    };
    for (flush(); out_ && !drained() && left() > 0; flush()) {
        pollfd asked{.fd = out_.fd(), .events = POLLOUT, .revents = 0};
        ::poll(&asked, 1, left());
    }
    // Nothing tells us when the other side of a pty reads.
    while (unread_output() > 0 && left() > 0)
        ::poll(nullptr, 0, std::min(left(), 5));

    std::unique_lock<Mutex> lock{lock_};
    lose_waiting(lock, 0);
    lost_.unread += take_back_unread();
    return lost_;
}

// ---- input

void CharChannel::set_input(HostStream stream) noexcept {
    disarm(in_);
    in_ = std::move(stream);
    if (user_ != nullptr)
        wait_for_input();
}

void CharChannel::read_input() noexcept {
    const auto room = std::span{input_.get(), kInputSize}.subspan(input_used_);
    if (user_ == nullptr || !in_ || room.empty())
        return;
    if (!may_read()) {
        input_waits();
        return;
    }
    const auto moved = in_.read(room);
    input_used_ += filter_input(room.first(moved.bytes));
    if (moved.flow == HostStream::Flow::Ended)
        input_ended();
    offer_input();
}

void CharChannel::read_past_input() noexcept {
    if (user_ == nullptr || !in_ || !may_read())
        return;
    std::array<std::byte, kInputSize> past{};
    const auto moved = in_.read(past);
    static_cast<void>(filter_input(std::span{past}.first(moved.bytes)));
}

void CharChannel::offer_input() noexcept {
    if (user_ == nullptr)
        return;
    if (input_used_ > 0 && !input_blocked_) {
        const auto waiting = std::span{input_.get(), input_used_};
        std::size_t taken = 0;
        {
            const std::lock_guard lock{*user_lock_};
            taken = std::min(user_->receive(waiting), waiting.size());
        }
        std::copy(waiting.begin() + static_cast<std::ptrdiff_t>(taken), waiting.end(),
                  waiting.begin());
        input_used_ -= taken;
        input_taken_ = input_taken_ || taken > 0;
        input_blocked_ = input_used_ > 0;
    }
    wait_for_input();
}

void CharChannel::wait_for_input() noexcept {
    if (!in_)
        return;
    if (input_used_ == kInputSize) {
        arm(in_.fd(), Event::Input, 0);  // full: only a hang-up is news
        input_waits();
        return;
    }
    if (arm(in_.fd(), Event::Input, EPOLLIN))
        return;
    // A file: always readable, so there is nothing to wait for. One piece each time round the loop.
    read_again_ = true;
    wake_.signal();
}

/// One event, then silence until armed again: nothing that cannot be acted on keeps us awake.
bool CharChannel::arm(int fd, Event event, std::uint32_t flags) noexcept {
    epoll_event wanted{};
    wanted.events = flags | EPOLLONESHOT;
    wanted.data.u32 = std::to_underlying(event);
    if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &wanted) == 0)
        return true;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &wanted) == 0;
}

void CharChannel::disarm(const HostStream& stream) noexcept {
    if (stream)
        ::epoll_ctl(epoll_, EPOLL_CTL_DEL, stream.fd(), nullptr);
}

void CharChannel::watch(int fd) noexcept {
    arm(fd, Event::Watched, EPOLLIN);
}

}  // namespace vmm
