#include "virtio/worker.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include "support/flat_guest_memory.hpp"
#include "virtio/queue.hpp"

namespace vmm::virtio {
namespace {

struct NoEvents final : QueueEvents {
    void used_buffers(std::uint16_t) noexcept override {}
    void needs_reset() noexcept override {}
};

/// A device of two queues that counts its kicks and has no other work.
class Counter final : public Worker::Handler, public Link {
public:
    std::array<std::atomic<unsigned>, 2> kicks{};
    std::array<std::atomic<unsigned>, 2> calls{};
    std::atomic<bool> kicks_only = true;
    std::atomic<bool> stopped_one = false;
    std::atomic<bool> reset = false;
    std::atomic<const std::function<void()>*> on_kick = nullptr;

private:
    void started(Features, std::span<Queue>) noexcept override {}
    void kicked(Queue& queue) noexcept override {
        if (const auto* const what = on_kick.load())
            (*what)();
        ++kicks.at(queue.index());
    }
    bool waits_for_kicks_only() const noexcept override { return kicks_only; }
    void ready(std::uint32_t source, std::uint32_t events) noexcept override {
        if (events == 0)
            ++calls.at(source);
    }
    void stop(Queue&) noexcept override {}
    void stopped() noexcept override {}

    void needs_reset() noexcept override {}
    void reset_done() noexcept override { reset = true; }
    void queue_stopped(std::uint16_t) noexcept override { stopped_one = true; }
    std::mutex& register_lock() noexcept override { return lock_; }
    void config_changed() noexcept override {}

    std::mutex lock_;
};

template <class Condition>
bool wait_until(Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{5};
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::yield();
    }
    return true;
}

class WorkerTest : public testing::Test {
protected:
    WorkerTest() {
        for (Queue& queue : queues) {
            const Gpa at{std::uint64_t{0x4000} * queue.index()};
            EXPECT_TRUE(queue.start({.size = 16,
                                     .descriptors = at,
                                     .driver = Gpa{at.value() + 0x1000},
                                     .device = Gpa{at.value() + 0x2000}},
                                    f::kVersion1));
        }
        worker->attach(counter);
        worker->activate(f::kVersion1, queues);
    }
    ~WorkerTest() override {
        worker->reset();
        EXPECT_TRUE(wait_until([&] { return counter.reset.load(); }));
    }
    bool stop_second() {
        counter.stopped_one = false;
        worker->stop_queue(1);
        return wait_until([&] { return counter.stopped_one.load(); });
    }
    bool kick_first() {
        const unsigned before = counter.kicks[0];
        queues[0].kick();
        return wait_until([&] { return counter.kicks[0] != before; });
    }

    test::FlatGuestMemory memory{0x10000};
    NoEvents events;
    Counter counter;
    std::array<Queue, 2> queues{Queue{0, 16, *EventFd::create_waitable(), memory, events},
                                Queue{1, 16, *EventFd::create_waitable(), memory, events}};
    std::unique_ptr<Worker> worker = *Worker::create("io-test", counter);
};

// The thread sleeps on the first queue's event alone then, and what it takes there is a kick.
TEST_F(WorkerTest, KickIsNotLostToAnotherQueueThatStarts) {
    constexpr int kTurnsToSleepOnOneQueue = 20;
    for (int round = 0; round < 100; ++round) {
        ASSERT_TRUE(stop_second());
        for (int i = 0; i < kTurnsToSleepOnOneQueue; ++i)
            ASSERT_TRUE(kick_first());
        std::this_thread::sleep_for(std::chrono::microseconds{300});
        const unsigned before = counter.kicks[0];

        worker->start_queue(queues[1]);
        queues[0].kick();

        ASSERT_TRUE(wait_until([&] { return counter.kicks[0] != before; })) << round;
    }
}

struct WorkerCallTest : WorkerTest {
    /// Lets the thread do it when a kick comes.
    bool on_the_thread(std::function<void()> what) {
        what_ = std::move(what);
        counter.on_kick = &what_;
        return kick_first();
    }
    WorkerCallTest() { counter.kicks_only = false; }

private:
    std::function<void()> what_;
};

TEST_F(WorkerCallTest, ComesAfterItsTimeAndOnce) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    ASSERT_TRUE(on_the_thread([&] { worker->call_after(std::chrono::milliseconds{2}, 1); }));

    ASSERT_TRUE(wait_until([&] { return counter.calls[1] != 0; }));

    EXPECT_GE(Clock::now() - start, std::chrono::milliseconds{2});
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
    EXPECT_EQ(counter.calls[1], 1u);
    EXPECT_EQ(counter.calls[0], 0u);
}

TEST_F(WorkerCallTest, KicksAreTakenMeanwhile) {
    ASSERT_TRUE(on_the_thread([&] { worker->call_after(std::chrono::milliseconds{900}, 0); }));

    EXPECT_TRUE(kick_first());

    EXPECT_EQ(counter.calls[0], 0u);
}

TEST_F(WorkerCallTest, LaterTimeTakesThePlaceOfTheEarlier) {
    ASSERT_TRUE(on_the_thread([&] {
        worker->call_after(std::chrono::milliseconds{1}, 0);
        worker->call_after(std::chrono::milliseconds{3}, 1);
        worker->call_after(std::chrono::milliseconds{5}, 0);
    }));

    ASSERT_TRUE(wait_until([&] { return counter.calls[0] != 0; }));

    EXPECT_EQ(counter.calls[0], 1u);
    EXPECT_EQ(counter.calls[1], 1u);
}

TEST_F(WorkerCallTest, ResetForgetsIt) {
    ASSERT_TRUE(on_the_thread([&] { worker->call_after(std::chrono::milliseconds{50}, 0); }));

    worker->reset();
    ASSERT_TRUE(wait_until([&] { return counter.reset.load(); }));

    std::this_thread::sleep_for(std::chrono::milliseconds{60});
    EXPECT_EQ(counter.calls[0], 0u);
}

}  // namespace
}  // namespace vmm::virtio
