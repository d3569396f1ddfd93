// SPDX-License-Identifier: Apache-2.0
#include "virtio/worker.hpp"

#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include "support/captured_log.hpp"
#include "support/flat_guest_memory.hpp"
#include "support/no_more_threads.hpp"
#include "support/sanitizers.hpp"
#include "virtio/queue.hpp"
#include "vmm/mutex.hpp"
#include "vmm/thread_desk.hpp"

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
    std::atomic<bool> needs_reset = false;
    std::atomic<const std::function<void()>*> on_kick = nullptr;
    unsigned sources_ready = 0;
    unsigned stops = 0;
    std::atomic<bool> idle = true;
    std::atomic<unsigned> quiesces = 0;
    std::atomic<unsigned> resumes = 0;
    std::atomic<unsigned> pauses_answered = 0;

    using Link::lend;
    int call_fd(std::uint16_t) const noexcept override { return -1; }

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
        else
            ++sources_ready;
    }
    void stop(Queue&) noexcept override {}
    void stopped() noexcept override { ++stops; }
    bool quiesce() noexcept override {
        ++quiesces;
        return idle;
    }
    void resumed() noexcept override { ++resumes; }

    void take_needs_reset() noexcept override { needs_reset = true; }
    void take_reset_done() noexcept override { reset = true; }
    void take_queue_stopped(std::uint16_t) noexcept override { stopped_one = true; }
    void take_paused() noexcept override { ++pauses_answered; }
    void take_used_buffers(std::uint16_t) noexcept override {}
    Mutex& register_lock() noexcept override { return lock_; }
    void config_changed() noexcept override {}

    RankedMutex<LockRank::Device> lock_;
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
    explicit WorkerTest(Stepper* stepper = nullptr)
        : stepper_{stepper},
          worker{*Worker::create(ThreadKind::BlockIo, "io-test", counter, stepper)} {
        for (Queue& queue : queues) {
            const Gpa at{std::uint64_t{0x4000} * queue.index()};
            EXPECT_TRUE(queue.start({.size = 16,
                                     .descriptors = at,
                                     .driver = Gpa{at.value() + 0x1000},
                                     .device = Gpa{at.value() + 0x2000}},
                                    f::kVersion1));
        }
        worker->attach(counter);
        activate();
    }
    void activate() {
        counter.reset = false;
        counter.lend();
        worker->activate(f::kVersion1, queues);
    }
    ~WorkerTest() override {
        if (!counter.reset)
            worker->reset();
        if (stepper_ != nullptr)
            stepper_->run();
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
    Stepper* stepper_;
    std::unique_ptr<Worker> worker;
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

struct OpenDesk {
    std::unique_ptr<ThreadDesk> desk = *ThreadDesk::open();
};

/// The thread is ordered by the time that a test begins, and not made.
class WorkerDeskTest : protected OpenDesk, public WorkerTest {};

TEST_F(WorkerDeskTest, WhatCameBeforeTheThreadIsObeyedByIt) {
    queues[0].kick();
    worker->stop_queue(1);
    worker->pause();
    EXPECT_EQ(counter.pauses_answered, 0U);
    desk->serve();
    EXPECT_TRUE(wait_until([&] { return counter.pauses_answered == 1; }));
    EXPECT_TRUE(counter.stopped_one);
    worker->resume();
    EXPECT_TRUE(wait_until([&] { return counter.kicks[0] != 0; }));
    EXPECT_TRUE(kick_first());
}

// The thread that would make it may be the one that waits for this reset.
TEST_F(WorkerDeskTest, ResetTakesTheOrderBack) {
    worker->stop_queue(1);
    worker->reset();
    EXPECT_TRUE(counter.stopped_one);
    EXPECT_TRUE(counter.reset);
    desk->serve();
    EXPECT_EQ(counter.kicks[0], 0U);

    activate();
    desk->serve();
    EXPECT_TRUE(kick_first());
}

TEST_F(WorkerDeskTest, RefusalIsAnsweredAndTheNextDriverTriesAgain) {
    if (test::kSanitized)
        GTEST_SKIP() << "a sanitizer needs its address space";
    worker->stop_queue(1);
    worker->pause();
    const test::CapturedLog log;
    {
        const test::NoMoreThreads full;
        desk->serve();
    }
    EXPECT_TRUE(counter.needs_reset);
    EXPECT_TRUE(counter.stopped_one);
    EXPECT_EQ(counter.pauses_answered, 1U);
    EXPECT_THAT(log.text(), testing::HasSubstr("cannot start thread io-test: pthread_create"));
    worker->reset();
    EXPECT_TRUE(counter.reset);

    activate();
    desk->serve();
    EXPECT_TRUE(kick_first());
}

// The thread may be asleep on the only queue's kicks, on epoll, or on its commands.
TEST_F(WorkerTest, ThreadServesNothingWhilePausedAndAllOfItAfterwards) {
    for (unsigned round = 0; round < 100; ++round) {
        counter.kicks_only = round % 2 == 0;
        ASSERT_TRUE(round % 3 != 0 || stop_second());
        for (unsigned i = 0; i < round % 25; ++i)
            ASSERT_TRUE(kick_first());
        worker->pause();
        ASSERT_TRUE(wait_until([&] { return counter.pauses_answered == round + 1; })) << round;
        const unsigned before = counter.kicks[0];
        queues[0].kick();
        if (round % 3 == 0)
            worker->start_queue(queues[1]);
        std::this_thread::sleep_for(std::chrono::microseconds{200});
        EXPECT_EQ(counter.kicks[0], before);

        worker->resume();

        ASSERT_TRUE(wait_until([&] { return counter.kicks[0] != before; })) << round;
    }
}

TEST_F(WorkerTest, ResetOfAPausedDeviceComesToItsEnd) {
    worker->pause();
    ASSERT_TRUE(wait_until([&] { return counter.pauses_answered == 1; }));

    worker->reset();

    EXPECT_TRUE(wait_until([&] { return counter.reset.load(); }));
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

struct HasStepper {
    Stepper stepper;
};

/// No thread: each step is the test's.
class WorkerStepTest : protected HasStepper, public WorkerTest {
protected:
    WorkerStepTest() : WorkerTest{&stepper} { stepper.run(); }
    void watch() { ASSERT_TRUE(worker->watch(source.fd(), EPOLLIN | EPOLLET, 0)); }

    EventFd source = *EventFd::create();
};

TEST_F(WorkerStepTest, WhatWasFetchedWithAResetIsDropped) {
    watch();
    worker->reset();
    source.signal();
    queues[0].kick();
    const unsigned kicks = counter.kicks[0];
    ASSERT_EQ(stepper.fetch(), 3u);

    while (stepper.fetched() > 0)
        stepper.dispatch(0);

    EXPECT_TRUE(counter.reset);
    EXPECT_EQ(counter.stops, 1u);
    EXPECT_EQ(counter.sources_ready, 0u);
    EXPECT_EQ(counter.kicks[0], kicks);
}

TEST_F(WorkerStepTest, WhatComesWhileNoDriverRunsIsDroppedToo) {
    watch();
    worker->reset();
    ASSERT_TRUE(stepper.run());
    source.signal();
    ASSERT_TRUE(stepper.run());
    EXPECT_EQ(counter.sources_ready, 0u);

    activate();
    ASSERT_TRUE(stepper.run());
    EXPECT_EQ(counter.sources_ready, 0u);
    ASSERT_TRUE(worker->rewatch(source.fd(), EPOLLIN | EPOLLET, 0));
    ASSERT_TRUE(stepper.run());

    EXPECT_EQ(counter.sources_ready, 1u);
}

TEST_F(WorkerStepTest, StoppedQueueHearsNothingOfTheBatch) {
    worker->stop_queue(0);
    queues[0].kick();
    queues[1].kick();
    const std::array<unsigned, 2> before{counter.kicks[0], counter.kicks[1]};
    ASSERT_EQ(stepper.fetch(), 3u);

    while (stepper.fetched() > 0)
        stepper.dispatch(0);

    EXPECT_TRUE(counter.stopped_one);
    EXPECT_EQ(counter.kicks[0], before[0]);
    EXPECT_EQ(counter.kicks[1], before[1] + 1);
}

// A driver that was restored in the middle of a queue's reset is as quick as this.
TEST_F(WorkerStepTest, QueueThatIsEnabledBeforeTheThreadHasSeenTheStartIsOpenedOnce) {
    worker->reset();
    ASSERT_TRUE(stepper.run());
    queues[1].stop();
    activate();
    const unsigned before = counter.kicks[1];

    ASSERT_TRUE(queues[1].start(queues[1].rings(), f::kVersion1));
    worker->start_queue(queues[1]);
    ASSERT_TRUE(stepper.run());

    EXPECT_FALSE(queues[1].broken());
    EXPECT_EQ(counter.kicks[1], before + 1);
}

TEST_F(WorkerStepTest, PauseIsAnsweredOnceNothingIsUnderWay) {
    counter.idle = false;
    worker->pause();
    ASSERT_TRUE(stepper.run());
    EXPECT_EQ(counter.pauses_answered, 0u);

    watch();
    counter.idle = true;
    source.signal();
    ASSERT_TRUE(stepper.run());

    EXPECT_EQ(counter.sources_ready, 1u);  // the end of what was under way
    EXPECT_EQ(counter.pauses_answered, 1u);
}

TEST_F(WorkerStepTest, WhatComesDuringAPauseIsLookedAtOnResume) {
    watch();
    worker->pause();
    ASSERT_TRUE(stepper.run());
    const std::array<unsigned, 2> before{counter.kicks[0], counter.kicks[1]};
    queues[0].kick();
    source.signal();
    ASSERT_TRUE(stepper.run());
    stepper.make_calls();
    EXPECT_EQ(counter.kicks[0], before[0]);
    EXPECT_EQ(counter.sources_ready, 0u);

    worker->resume();
    ASSERT_TRUE(stepper.run());

    EXPECT_EQ(counter.resumes, 1u);
    EXPECT_EQ(counter.kicks[0], before[0] + 1);
    EXPECT_EQ(counter.kicks[1], before[1] + 1);
    EXPECT_EQ(counter.sources_ready, 1u);
}

// A kick that was fetched in the same batch as the pause is not heard, and not lost either.
TEST_F(WorkerStepTest, KickThatWasFetchedWithAPauseWaits) {
    worker->pause();
    queues[0].kick();
    const unsigned before = counter.kicks[0];
    ASSERT_EQ(stepper.fetch(), 2u);
    ASSERT_TRUE(stepper.run());
    EXPECT_EQ(counter.kicks[0], before);
    EXPECT_EQ(counter.pauses_answered, 1u);

    worker->resume();
    ASSERT_TRUE(stepper.run());

    EXPECT_EQ(counter.kicks[0], before + 1);
}

TEST_F(WorkerStepTest, ResumeAnswersAPauseThatDidNotComeToItsEnd) {
    counter.idle = false;
    worker->pause();
    worker->resume();
    ASSERT_TRUE(stepper.run());
    EXPECT_EQ(counter.pauses_answered, 1u);

    worker->pause();
    ASSERT_TRUE(stepper.run());
    EXPECT_EQ(counter.pauses_answered, 1u);
    worker->resume();
    ASSERT_TRUE(stepper.run());

    EXPECT_EQ(counter.pauses_answered, 2u);
    EXPECT_EQ(counter.resumes, 2u);
}

TEST_F(WorkerStepTest, ResetEndsAPause) {
    worker->pause();
    ASSERT_TRUE(stepper.run());
    worker->reset();
    ASSERT_TRUE(stepper.run());
    EXPECT_TRUE(counter.reset);
    EXPECT_EQ(counter.stops, 1u);

    const unsigned before = counter.kicks[0];
    activate();
    ASSERT_TRUE(stepper.run());

    EXPECT_EQ(counter.kicks[0], before + 1);
}

TEST_F(WorkerStepTest, QueueThatStartsDuringAPauseIsServedAfterIt) {
    worker->stop_queue(1);
    worker->pause();
    ASSERT_TRUE(stepper.run());
    const unsigned before = counter.kicks[1];
    worker->start_queue(queues[1]);
    ASSERT_TRUE(stepper.run());
    EXPECT_EQ(counter.kicks[1], before);

    worker->resume();
    ASSERT_TRUE(stepper.run());

    EXPECT_EQ(counter.kicks[1], before + 1);
}

TEST_F(WorkerStepTest, QueueThatStopsDuringAPauseIsNotServedAfterIt) {
    worker->pause();
    ASSERT_TRUE(stepper.run());
    const unsigned before = counter.kicks[1];
    worker->stop_queue(1);
    ASSERT_TRUE(stepper.run());
    EXPECT_TRUE(counter.stopped_one);

    worker->resume();
    ASSERT_TRUE(stepper.run());

    EXPECT_EQ(counter.kicks[1], before);
}

// The mechanism behind it: a link that nobody may use any more says so, where it is looked at.
using LinkDeathTest = WorkerStepTest;

TEST_F(LinkDeathTest, NothingIsSaidAfterResetDone) {
    worker->reset();
    ASSERT_TRUE(stepper.run());
    Link& link = counter;

    EXPECT_DEATH(link.needs_reset(), "lent_");
    EXPECT_DEATH(link.reset_done(), "lent_");
    EXPECT_DEATH(link.queue_stopped(0), "lent_");
    EXPECT_DEATH(link.paused(), "lent_");
    EXPECT_DEATH(link.used_buffers(0), "lent_");
    EXPECT_DEATH(link.update_config([] {}), "lent_");
    link.update_config_as_owner([] {});
}

}  // namespace
}  // namespace vmm::virtio
