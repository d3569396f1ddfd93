// SPDX-License-Identifier: Apache-2.0
// A ready-made I/O thread for device bodies that wait for kicks and a few descriptors of the host.
//
// The register side's calls become messages; everything a Handler does runs on the one thread. A
// body with needs of its own (io_uring, a thread for each queue) does without and keeps to the
// rules of virtio/device.hpp by itself.
// A pause costs a running device nothing: the loop that serves kicks is left for another one.
// Costs: the thread starts with the first activate(). A kick is one epoll_wait and nothing to read;
// with one queue and nothing else to wait for it is one read of the kick's eventfd, which is less.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "virtio/device.hpp"
#include "virtio/linger.hpp"
#include "virtio/queue.hpp"
#include "virtio/stepper.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/mutex.hpp"
#include "vmm/relax.hpp"
#include "vmm/thread.hpp"
#include "vmm/thread_desk.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::virtio {

class Worker {
public:
    /// Called on the I/O thread only, and but for started() only between that and stopped(): events
    /// that were fetched before a reset are not for the next driver, nor for a link that is gone.
    /// None may block for long: reset waits for the thread.
    class Handler {
    public:
        virtual ~Handler() = default;

        /// The queues are ours; kicked() follows for each that is enabled, and once more whenever
        /// a queue is started later.
        virtual void started(Features features, std::span<Queue> queues) noexcept = 0;
        /// The driver may have made chains available.
        virtual void kicked(Queue& queue) noexcept = 0;
        /// Nothing but a kick can bring the next work: no descriptor will become ready().
        virtual bool waits_for_kicks_only() const noexcept { return false; }
        /// A descriptor given to watch() is ready for `events` (epoll's bits). What comes while no
        /// driver runs is dropped: whoever watches a descriptor all the time calls rewatch() in
        /// started(), which brings up again what is there.
        virtual void ready(std::uint32_t source, std::uint32_t events) noexcept = 0;
        /// One queue goes back to the driver: forget its chains, do not touch it after this.
        virtual void stop(Queue& queue) noexcept = 0;
        /// All queues went, after stop() for each that was enabled. Ends a pause, too.
        virtual void stopped() noexcept = 0;

        /// A pause is asked for, and kicked() does not come any more. True once nothing is under
        /// way that could change guest RAM, which then stays as it is until resumed(): whoever
        /// writes there from other threads (a console's input) stops that first. Called again
        /// after each event, ready() among them, until it gives true; then no event comes.
        virtual bool quiesce() noexcept = 0;
        /// The pause is over, whether or not quiesce() gave true. kicked() follows for each queue,
        /// and ready() for what came meanwhile.
        virtual void resumed() noexcept = 0;
    };

    /// `name` is the thread's: up to 15 characters count. With a stepper there is no thread.
    static Result<std::unique_ptr<Worker>> create(ThreadKind kind, std::string name,
                                                  Handler& handler, Stepper* stepper = nullptr);
    /// Ends the thread. The device was reset before.
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // The register side: Device's functions, to be passed on.

    void attach(Link& link) noexcept { link_ = &link; }
    void activate(Features features, std::span<Queue> queues) noexcept;
    void reset() noexcept;
    void stop_queue(std::uint16_t index) noexcept;
    void start_queue(Queue& queue) noexcept;
    void pause() noexcept;
    void resume() noexcept;

    // The I/O thread.

    /// Level triggered unless EPOLLET is among `events`; `source` comes back in ready(). The
    /// descriptor stays the caller's, who calls unwatch() before closing it.
    Result<> watch(int fd, std::uint32_t events, std::uint32_t source);
    /// Other events for a watched descriptor; 0 mutes it.
    Result<> rewatch(int fd, std::uint32_t events, std::uint32_t source);
    void unwatch(int fd) noexcept;
    /// Calls ready(source, 0) after `time`, which is less than a second. Asked for again before
    /// that, the later time is the one; reset forgets it. Not while waits_for_kicks_only().
    void call_after(std::chrono::nanoseconds time, std::uint32_t source) noexcept;

    /// Somebody waits for the thread: kicked() should return soon.
    bool commanded() const noexcept { return commanded_.load(std::memory_order_relaxed); }

    /// For kicked(), when the queue is empty and kicks are not asked for yet: true if its next
    /// chain came within a time that is worth waiting for. Calls `meanwhile` over and over.
    /// At most Linger::kMost, and only if no other queue is open.
    template <class Work>
    [[nodiscard]] bool linger(const Queue& queue, Work&& meanwhile) noexcept {
        if (!linger_.allowed() || only_queue_ != &queue)
            return false;
        const auto start = Linger::Clock::now();
        linger_.rest(start);
        if (linger_.window().count() == 0)
            return false;
        const auto end = start + linger_.window();
        do {
            if (queue.has_next()) {
                linger_.met();
                return true;
            }
            meanwhile();
            relax();
        } while (!commanded() && Linger::Clock::now() < end);
        return false;
    }

private:
    friend class Stepper;
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t kBatch = 16;  // events fetched at a time
    static constexpr std::uint64_t kWake = 0;  // what epoll says of wake_

    struct Command {
        enum class Kind : std::uint8_t {
            Activate,
            Reset,
            StopQueue,
            StartQueue,
            Pause,
            Resume,
            Quit
        };
        Kind kind = Kind::Quit;
        Features features = 0;
        std::span<Queue> queues;
        std::uint16_t queue = 0;
    };

    enum class Mode : std::uint8_t {
        Serving,
        Pausing,  ///< kicks are not heard; what is under way ends
        Paused,   ///< nothing but commands is heard
        Quitting,
    };

    Worker(ThreadKind kind, std::string name, Handler& handler, UniqueFd epoll, EventFd wake);

    bool post(const Command& command) noexcept;  // false: there is no thread
    void push(const Command& command) noexcept;  // with mutex_ held, as for drop()
    std::vector<Command> drop() noexcept;
    void refuse(const Command& command) noexcept;
    void thread_refused(Error error) noexcept;
    void run() noexcept;
    void serve() noexcept;  // while Serving
    void kicked(Queue& queue) noexcept;
    void wait_for_kick() noexcept;
    void wait_for_anything() noexcept;
    void wait_for_command() noexcept;
    int wait(std::span<epoll_event> events) noexcept;
    void call_due() noexcept;
    void find_only_queue() noexcept;
    void watch_only_queue() noexcept;
    void watch_all() noexcept;
    void dispatch(std::uint64_t what, std::uint32_t events) noexcept;
    void obey() noexcept;
    void obey(const Command& command) noexcept;
    void begin_pause() noexcept;
    void try_pause() noexcept;  // after each batch of events while Pausing
    void end_pause() noexcept;
    void answer_pause() noexcept;
    void activated(const Command& command) noexcept;
    bool watch_kicks(const Queue& queue) noexcept;
    void open(Queue& queue) noexcept;
    void close(Queue& queue) noexcept;
    void close_all() noexcept;

    ThreadKind kind_;
    std::string name_;
    Handler& handler_;
    UniqueFd epoll_;
    EventFd wake_;
    Link* link_ = nullptr;

    // Over commands_ and awaited_kick_, for an instant.
    RankedMutex<LockRank::WorkerCommands> mutex_;
    std::vector<Command> commands_;
    bool has_thread_ = false;  // or one is ordered
    /// What the thread waits for in epoll's place: the only queue's kicks. The thread writes it.
    const EventFd* awaited_kick_ = nullptr;
    std::atomic<bool> commanded_{false};  // there are commands

    // The I/O thread's.
    std::vector<Command> taken_;
    bool active_ = false;  // a driver runs: the handler is called, and may use the link
    std::span<Queue> queues_;
    std::vector<bool> open_;   // by queue: it is ours
    std::vector<bool> heard_;  // by queue: the same, and no pause
    Mode mode_ = Mode::Serving;
    bool pause_unanswered_ = false;
    Queue* only_queue_ = nullptr;    // the only one that is heard
    unsigned kicks_only_turns_ = 0;  // times in a row that nothing but a kick could come
    Linger linger_{false};
    struct Call {
        Clock::time_point at;
        std::uint32_t source = 0;
    };
    std::vector<Call> calls_;  // one a source at most

    bool complained_ = false;  // where there is no thread, or on it: never both at once
    OrderedThread thread_;
};

}  // namespace vmm::virtio
