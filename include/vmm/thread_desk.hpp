// SPDX-License-Identifier: Apache-2.0
// Threads that are needed while a guest runs are made on the main thread.
//
// A driver's first write to a device's status asks for the device's I/O thread, and the vCPU thread
// that carries that write has a filter, an affinity and a scheduling class of its own, which a
// thread would inherit from its maker. So it orders the thread, and the main loop makes it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/mutex.hpp"
#include "vmm/thread.hpp"

namespace vmm {

class OrderedThread;

/// While one is open, it makes the threads that are ordered. Where none is (in tests), they are
/// made at once by whoever orders them.
class ThreadDesk {
public:
    /// There is one at a time. What it makes inherits from the thread that calls serve().
    static Result<std::unique_ptr<ThreadDesk>> open();
    ~ThreadDesk();
    ThreadDesk(const ThreadDesk&) = delete;
    ThreadDesk& operator=(const ThreadDesk&) = delete;

    /// Readable when there is something to do for serve().
    int fd() const noexcept { return ordered_.fd(); }
    void serve() noexcept;

private:
    friend class OrderedThread;
    explicit ThreadDesk(EventFd ordered) : ordered_{std::move(ordered)} {}

    EventFd ordered_;
    std::vector<OrderedThread*> orders_;  // in their order, under the mutex of all desks
};

/// A thread that any thread may ask for, once. The owner's calls come one at a time.
class OrderedThread {
public:
    /// No thread could be had: called in serve(), or in order() where no desk is open.
    using Failed = std::move_only_function<void(Error) noexcept>;

    OrderedThread() = default;
    ~OrderedThread() { join(); }
    OrderedThread(const OrderedThread&) = delete;
    OrderedThread& operator=(const OrderedThread&) = delete;

    /// Does not wait. Again only after failed() or a withdraw() that came in time.
    void order(ThreadPlan plan, ThreadBody body, Failed failed) noexcept;

    /// True if the thread had not been made, and now will not be: neither body nor failed() runs.
    bool withdraw() noexcept;

    /// Withdraws, or waits for the thread's end. On the thread that serves the desk.
    void join() noexcept;

private:
    friend class ThreadDesk;
    void make() noexcept;

    ThreadPlan plan_;
    ThreadBody body_;
    Failed failed_;
    std::jthread thread_;
};

}  // namespace vmm
