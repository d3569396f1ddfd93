// SPDX-License-Identifier: Apache-2.0
#include "virtio/worker.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "vmm/assert.hpp"
#include "vmm/error_record.hpp"
#include "vmm/log.hpp"
#include "vmm/thread.hpp"

namespace vmm::virtio {
namespace {

// What an epoll event is about: kind in the upper half, number in the lower.
enum class About : std::uint32_t { Wake, Kick, Source };

// After so many times in a row the thread waits for kicks alone: going there and back costs two
// calls each.
constexpr unsigned kKicksOnlyTurns = 16;

// With About::Wake it is Worker::kWake.
constexpr std::uint64_t tag(About about, std::uint32_t number) {
    return std::uint64_t{static_cast<std::uint32_t>(about)} << 32 | number;
}

Result<> control(const UniqueFd& epoll, int operation, int fd, std::uint32_t events,
                 std::uint64_t data) {
    epoll_event event{.events = events, .data = {.u64 = data}};
    if (::epoll_ctl(epoll.get(), operation, fd, &event) != 0)
        return std::unexpected(Error::os("epoll_ctl", errno));
    return {};
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create(ThreadKind kind, std::string name, Handler& handler,
                                               Stepper* stepper) {
    UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    if (!epoll)
        return std::unexpected(Error::os("epoll_create1", errno));
    auto wake = VMM_TRY(EventFd::create());
    VMM_TRY(control(epoll, EPOLL_CTL_ADD, wake.fd(), EPOLLIN | EPOLLET, kWake));
    std::unique_ptr<Worker> made{
        new Worker{kind, std::move(name), handler, std::move(epoll), std::move(wake)}};
    made->has_thread_ = stepper != nullptr;
    if (stepper != nullptr)
        stepper->worker_ = made.get();
    return made;
}

Worker::Worker(ThreadKind kind, std::string name, Handler& handler, UniqueFd epoll, EventFd wake)
    : kind_{kind},
      name_{std::move(name)},
      handler_{handler},
      epoll_{std::move(epoll)},
      wake_{std::move(wake)} {
    name_.resize(std::min<std::size_t>(name_.size(), 15));
}

Worker::~Worker() {
    if (!thread_.withdraw() && post({.kind = Command::Kind::Quit}))
        thread_.join();
}

bool Worker::post(const Command& command) noexcept {
    {
        const std::scoped_lock held{mutex_};
        if (!has_thread_)
            return false;
        push(command);
    }
    wake_.signal();
    return true;
}

void Worker::push(const Command& command) noexcept {
    commands_.push_back(command);
    commanded_.store(true, std::memory_order_release);
    if (awaited_kick_ != nullptr)
        awaited_kick_->signal();
}

void Worker::activate(Features features, std::span<Queue> queues) noexcept {
    bool order = false;
    {
        const std::scoped_lock held{mutex_};
        order = !std::exchange(has_thread_, true);
        push({.kind = Command::Kind::Activate, .features = features, .queues = queues});
        // Looked at here: by the time the thread has the command, more may be enabled, and those
        // come by start_queue().
        for (const Queue& queue : queues)
            if (queue.enabled())
                push({.kind = Command::Kind::StartQueue, .queue = queue.index()});
    }
    wake_.signal();
    if (order)
        thread_.order(
            {.kind = kind_, .name = name_, .confines_itself = true}, [this]() noexcept { run(); },
            [this](Error error) noexcept { thread_refused(std::move(error)); });
}

// What came meanwhile is answered as by a worker that was never activated.
void Worker::thread_refused(Error error) noexcept {
    if (!std::exchange(complained_, true))  // a driver can try as often as it likes
        log::error("cannot start thread ", name_, ": ", record_of(error));
    std::vector<Command> dropped;
    {
        const std::scoped_lock held{mutex_};
        dropped = drop();
    }
    for (const Command& command : dropped)
        refuse(command);
}

// A thread that is ordered and was not made need not be, and its maker may wait for this very
// reset.
void Worker::reset() noexcept {
    std::vector<Command> dropped;
    {
        const std::scoped_lock held{mutex_};
        if (has_thread_ && !thread_.withdraw()) {
            push({.kind = Command::Kind::Reset});
            wake_.signal();
            return;
        }
        dropped = drop();
    }
    for (const Command& command : dropped)
        if (command.kind != Command::Kind::Activate)
            refuse(command);
    link_->reset_done();
}

std::vector<Worker::Command> Worker::drop() noexcept {
    has_thread_ = false;
    commanded_.store(false, std::memory_order_relaxed);
    return std::exchange(commands_, {});
}

void Worker::refuse(const Command& command) noexcept {
    switch (command.kind) {
        case Command::Kind::Activate:
            return link_->needs_reset();
        case Command::Kind::Reset:
            return link_->reset_done();
        case Command::Kind::StopQueue:
            return link_->queue_stopped(command.queue);
        case Command::Kind::Pause:
            return link_->paused();
        case Command::Kind::StartQueue:
        case Command::Kind::Resume:
        case Command::Kind::Quit:
            return;
    }
}

void Worker::stop_queue(std::uint16_t index) noexcept {
    if (!post({.kind = Command::Kind::StopQueue, .queue = index}))
        link_->queue_stopped(index);
}

void Worker::start_queue(Queue& queue) noexcept {
    post({.kind = Command::Kind::StartQueue, .queue = queue.index()});
}

void Worker::pause() noexcept {
    if (!post({.kind = Command::Kind::Pause}))
        link_->paused();
}

void Worker::resume() noexcept {
    post({.kind = Command::Kind::Resume});
}

Result<> Worker::watch(int fd, std::uint32_t events, std::uint32_t source) {
    return control(epoll_, EPOLL_CTL_ADD, fd, events, tag(About::Source, source));
}

Result<> Worker::rewatch(int fd, std::uint32_t events, std::uint32_t source) {
    return control(epoll_, EPOLL_CTL_MOD, fd, events, tag(About::Source, source));
}

void Worker::unwatch(int fd) noexcept {
    // Fails only for a descriptor that is not watched, and that is what was wanted.
    [[maybe_unused]] const int done = ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Worker::run() noexcept {
    leave_restartable_sequences();
    ::prctl(PR_SET_TIMERSLACK, 1UL);  // call_after() means it
    linger_ = Linger{has_several_processors()};
    confine_this_thread(kind_);
    while (mode_ != Mode::Quitting) {
        serve();
        while (mode_ == Mode::Pausing) {
            wait_for_anything();
            try_pause();
        }
        while (mode_ == Mode::Paused)
            wait_for_command();
    }
}

void Worker::serve() noexcept {
    while (mode_ == Mode::Serving) {
        const bool kicks_only = only_queue_ != nullptr && handler_.waits_for_kicks_only();
        kicks_only_turns_ = kicks_only ? kicks_only_turns_ + 1 : 0;
        if (kicks_only_turns_ > kKicksOnlyTurns && awaited_kick_ == nullptr)
            watch_only_queue();
        else if (!kicks_only && awaited_kick_ != nullptr)
            watch_all();
        if (awaited_kick_ != nullptr)
            wait_for_kick();
        else
            wait_for_anything();
    }
    try_pause();
}

void Worker::call_after(std::chrono::nanoseconds time, std::uint32_t source) noexcept {
    const Call call{.at = Clock::now() + time, .source = source};
    const auto found = std::ranges::find(calls_, source, &Call::source);
    if (found != calls_.end())
        *found = call;
    else
        calls_.push_back(call);
}

int Worker::wait(std::span<epoll_event> events) noexcept {
    const auto room = static_cast<int>(events.size());
    if (calls_.empty())
        return ::epoll_wait(epoll_.get(), events.data(), room, -1);
    const auto left = std::ranges::min_element(calls_, {}, &Call::at)->at - Clock::now();
    const timespec timeout{.tv_sec = 0, .tv_nsec = std::max<long>(0, left.count())};
    const int count = ::epoll_pwait2(epoll_.get(), events.data(), room, &timeout, nullptr);
    if (count >= 0 || errno == EINTR)
        return count;
    return ::epoll_wait(epoll_.get(), events.data(), room, 0);  // before Linux 5.11: in a loop
}

void Worker::call_due() noexcept {
    if (calls_.empty())
        return;
    const auto now = Clock::now();
    while (true) {
        const auto due =
            std::ranges::find_if(calls_, [&](const Call& call) { return call.at <= now; });
        if (due == calls_.end())
            return;
        const auto source = due->source;
        calls_.erase(due);
        handler_.ready(source, 0);
    }
}

void Worker::wait_for_anything() noexcept {
    std::array<epoll_event, kBatch> events{};
    const int count = wait(events);
    VMM_ASSERT(count >= 0 || errno == EINTR);
    call_due();
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        dispatch(event.data.u64, event.events);
    }
}

// post() signals the eventfd, too.
void Worker::wait_for_kick() noexcept {
    const std::size_t awaited = only_queue_->index();
    if (!commanded_.load(std::memory_order_acquire))
        only_queue_->kick_event().wait();
    if (commanded_.load(std::memory_order_acquire))
        obey();
    // What was taken may have been the driver's kick, whatever other queues a command opened.
    if (awaited < heard_.size() && heard_[awaited])
        kicked(queues_[awaited]);
}

// What epoll has stays there: edges are not lost, and nobody has to remember what came.
void Worker::wait_for_command() noexcept {
    wake_.drain();  // before the look: what is posted after it signals again
    if (commanded_.load(std::memory_order_acquire)) {
        obey();
        return;
    }
    pollfd wake{.fd = wake_.fd(), .events = POLLIN, .revents = 0};
    const int count = ::poll(&wake, 1, -1);
    VMM_ASSERT(count >= 0 || errno == EINTR);
}

void Worker::kicked(Queue& queue) noexcept {
    if (linger_.allowed() && &queue == only_queue_)
        linger_.woken(Linger::Clock::now());
    handler_.kicked(queue);
}

// A descriptor that epoll watches costs each of its signals a second look by the kernel.
void Worker::watch_only_queue() noexcept {
    unwatch(only_queue_->kick_event().fd());
    const std::scoped_lock held{mutex_};
    awaited_kick_ = &only_queue_->kick_event();
}

void Worker::watch_all() noexcept {
    kicks_only_turns_ = 0;
    {
        const std::scoped_lock held{mutex_};
        awaited_kick_ = nullptr;
    }
    if (!watch_kicks(*only_queue_))
        only_queue_->fail();
}

void Worker::find_only_queue() noexcept {
    if (awaited_kick_ != nullptr)
        watch_all();
    const bool one = std::ranges::count(heard_, true) == 1;
    const auto first = std::ranges::find(heard_, true) - heard_.begin();
    only_queue_ = one ? &queues_[static_cast<std::size_t>(first)] : nullptr;
}

void Worker::dispatch(std::uint64_t what, std::uint32_t events) noexcept {
    const auto number = static_cast<std::uint32_t>(what);
    switch (static_cast<About>(what >> 32)) {
        case About::Wake:
            obey();
            break;
        case About::Kick:
            // An event of this batch may be older than a command that closed the queue.
            if (number < heard_.size() && heard_[number])
                kicked(queues_[number]);
            break;
        case About::Source:
            // It may be older than a reset, too: then there is nobody left to tell.
            if (active_)
                handler_.ready(number, events);
            break;
    }
}

void Worker::obey() noexcept {
    {
        const std::scoped_lock held{mutex_};
        taken_.swap(commands_);
        commanded_.store(false, std::memory_order_release);
    }
    for (const Command& command : taken_)
        obey(command);
    taken_.clear();
}

void Worker::obey(const Command& command) noexcept {
    switch (command.kind) {
        case Command::Kind::Activate:
            activated(command);
            break;
        case Command::Kind::Reset:
            close_all();
            handler_.stopped();
            active_ = false;
            link_->reset_done();  // last: whoever hears it may free link and queues
            break;
        case Command::Kind::StopQueue:
            close(queues_[command.queue]);
            link_->queue_stopped(command.queue);
            break;
        case Command::Kind::StartQueue:
            open(queues_[command.queue]);
            break;
        case Command::Kind::Pause:
            begin_pause();
            break;
        case Command::Kind::Resume:
            end_pause();
            break;
        case Command::Kind::Quit:
            mode_ = Mode::Quitting;
            break;
    }
}

// Pause and resume. To a thread that serves, a pause is queues that are not heard.

void Worker::begin_pause() noexcept {
    mode_ = Mode::Pausing;
    pause_unanswered_ = true;
    heard_.assign(heard_.size(), false);
    find_only_queue();
}

void Worker::try_pause() noexcept {
    if (mode_ != Mode::Pausing || !handler_.quiesce())
        return;
    mode_ = Mode::Paused;
    answer_pause();
}

void Worker::end_pause() noexcept {
    answer_pause();
    mode_ = Mode::Serving;
    heard_ = open_;
    find_only_queue();
    handler_.resumed();
    for (Queue& queue : queues_)
        if (open_[queue.index()])
            queue.kick();
}

void Worker::answer_pause() noexcept {
    if (std::exchange(pause_unanswered_, false))
        link_->paused();
}

void Worker::activated(const Command& command) noexcept {
    queues_ = command.queues;
    open_.assign(queues_.size(), false);
    heard_ = open_;
    active_ = true;
    handler_.started(command.features, queues_);
}

// Edge triggered: each kick wakes us once, and nothing has to be read to make it go away.
bool Worker::watch_kicks(const Queue& queue) noexcept {
    const auto watched = control(epoll_, EPOLL_CTL_ADD, queue.kick_event().fd(), EPOLLIN | EPOLLET,
                                 tag(About::Kick, queue.index()));
    if (!watched && !std::exchange(complained_, true))
        log::error(name_, ": queue ", queue.index(), ": ", watched.error().one_line());
    return watched.has_value();
}

void Worker::open(Queue& queue) noexcept {
    if (!watch_kicks(queue)) {
        queue.fail();
        return;
    }
    open_[queue.index()] = true;
    heard_[queue.index()] = mode_ == Mode::Serving;
    find_only_queue();
    queue.kick();  // for what is there; served after the commands that were taken with this one
}

void Worker::close(Queue& queue) noexcept {
    if (!open_[queue.index()])
        return;
    open_[queue.index()] = false;
    heard_[queue.index()] = false;
    find_only_queue();
    unwatch(queue.kick_event().fd());
    handler_.stop(queue);
}

void Worker::close_all() noexcept {
    for (Queue& queue : queues_)
        close(queue);
    queues_ = {};
    open_.clear();
    heard_.clear();
    calls_.clear();
    mode_ = Mode::Serving;
    pause_unanswered_ = false;
}

}  // namespace vmm::virtio
