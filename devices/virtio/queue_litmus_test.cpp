// SPDX-License-Identifier: Apache-2.0
// Driver and device on a thread each, which sleep when there is nothing to do: a wake-up that is
// lost, or a descriptor that is seen before all of it is there, stops them or is counted. On
// processors that order memory weakly this is what the ring's fences are for.
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <tuple>

#include "virtio/queue_rig.hpp"

namespace vmm::virtio {
namespace {

constexpr std::uint16_t kRingSize = 16;
constexpr unsigned kOutstanding = kRingSize / 2;  // of two descriptors each
constexpr std::uint64_t kRoom = 64;               // for each, both ways

/// What an eventfd is to an I/O thread, and an interrupt to a guest.
class Bell {
public:
    void ring() {
        const std::lock_guard guard{mutex_};
        rung_ = true;
        changed_.notify_one();
    }
    /// False: nobody rang for so long that nobody will.
    bool sleep() {
        std::unique_lock guard{mutex_};
        const bool came = changed_.wait_for(guard, std::chrono::seconds{20}, [&] { return rung_; });
        rung_ = false;
        return came;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool rung_ = false;
};

struct RingingEvents final : QueueEvents {
    explicit RingingEvents(Bell& at) : bell{at} {}
    void used_buffers(std::uint16_t) noexcept override { bell.ring(); }
    void needs_reset() noexcept override { broken = true; }
    Bell& bell;
    std::atomic<bool> broken = false;
};

/// The lengths of a chain follow from its number, which is what its first word says.
std::uint32_t length_of(std::uint64_t number) {
    return static_cast<std::uint32_t>(8 + 8 * (number % 4));
}
Gpa room_of(std::uint64_t number) {
    return Gpa{kData.value() + number % (2 * kOutstanding) * 2 * kRoom};
}

/// One that does not sleep is at work when the other one is about to: that is when wake-ups are
/// lost. There is one chain at a time then. Each hesitates for a while of any length before it says
/// that it will sleep: the other one may be anywhere by then.
enum class Sleeps : std::uint8_t { Both, Device, Driver };

struct QueueLitmusTest : testing::TestWithParam<std::tuple<RingCase, bool, Sleeps>> {
    QueueLitmusTest() : pair{ring.options(kRingSize, event_idx)} {
        started = queue.start(pair.config(), pair.features);
    }

    void hesitate(std::uint64_t number) const {
        for (std::atomic<std::uint64_t> left = number % 251; left != 0;)
            left.store(left.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    }

    // ---- the device

    void serve() {
        do {
            queue.disable_kicks();
            while (queue.pop(pair.chain)) {
                serve_one();
                if (served % 3 == 0)
                    queue.publish();
            }
            queue.publish();
            hesitate(served * 7);
        } while (queue.enable_kicks());
    }
    void serve_one() {
        Cursor reader = pair.chain.reader();
        Cursor writer = pair.chain.writer();
        const auto number = reader.read<std::uint64_t>(pair.queue_memory);
        const bool whole = number == served && pair.chain.readable_bytes() == length_of(served) &&
                           pair.chain.writable_bytes() == 8 &&
                           writer.write(pair.queue_memory, ~served);
        torn += whole ? 0 : 1;
        queue.complete(pair.chain.head(), static_cast<std::uint32_t>(served));
        ++served;
    }
    void run_device() {
        for (serve(); served < chains && !given_up; serve())
            if (sleeps != Sleeps::Driver && !kick.sleep())
                lost_kick = given_up = true;
    }

    // ---- the driver

    void add_some() {
        for (; added < chains && added - collected < outstanding; ++added) {
            const Gpa room = room_of(added);
            if (!pair.memory.write(room, added))
                std::abort();
            pair.driver.add(
                {{room, length_of(added), false}, {Gpa{room.value() + kRoom}, 8, true}});
            // Now and then in the midst of a batch.
            if (added % 5 == 0 && pair.driver.kick_wanted())
                kick.ring();
        }
        if (pair.driver.kick_wanted())
            kick.ring();
    }
    bool collect_some() {
        const std::uint64_t before = collected;
        while (const auto used = pair.driver.collect()) {
            const auto answer =
                pair.memory.read<std::uint64_t>(Gpa{room_of(collected).value() + kRoom});
            wrong += used->length == collected && answer == ~collected ? 0 : 1;
            ++collected;
        }
        return collected != before;
    }
    bool ask_for_interrupt() {
        hesitate(collected);
        if (event_idx)
            pair.driver.want_interrupt_after(0);
        else
            pair.driver.want_interrupts(true);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return collect_some();  // it may have come just before
    }
    void run_driver() {
        while (collected < chains && !given_up) {
            add_some();
            if (collect_some() || sleeps == Sleeps::Device || ask_for_interrupt())
                continue;
            if (!interrupt.sleep())
                lost_interrupt = given_up = true;
            if (!event_idx)
                pair.driver.want_interrupts(false);
        }
    }

    RingCase ring = std::get<0>(GetParam());
    bool event_idx = std::get<1>(GetParam());
    Sleeps sleeps = std::get<2>(GetParam());
    std::uint64_t chains = sleeps == Sleeps::Both ? 20'000 : 4'000;
    unsigned outstanding = sleeps == Sleeps::Both ? kOutstanding : 1;
    Pair pair;
    Bell kick;
    Bell interrupt;
    RingingEvents events{interrupt};
    Queue queue{0, 64, *EventFd::create(), pair.queue_memory, events};
    bool started = false;
    std::atomic<bool> given_up = false;
    std::uint64_t served = 0;  // the device's
    std::uint64_t torn = 0;
    bool lost_kick = false;
    std::uint64_t added = 0;  // the driver's
    std::uint64_t collected = 0;
    std::uint64_t wrong = 0;
    bool lost_interrupt = false;
};

INSTANTIATE_TEST_SUITE_P(Kinds, QueueLitmusTest,
                         testing::Combine(testing::ValuesIn(kRingCases), testing::Bool(),
                                          testing::Values(Sleeps::Both, Sleeps::Device,
                                                          Sleeps::Driver)));

TEST_P(QueueLitmusTest, NoWakeUpIsLostAndNoDescriptorIsSeenInPart) {
    ASSERT_TRUE(started);
    std::thread device{[&] { run_device(); }};
    run_driver();
    device.join();

    EXPECT_FALSE(lost_kick);
    EXPECT_FALSE(lost_interrupt);
    EXPECT_EQ(torn, 0u);
    EXPECT_EQ(wrong, 0u);
    EXPECT_EQ(collected, chains);
    EXPECT_FALSE(events.broken);
}

}  // namespace
}  // namespace vmm::virtio
