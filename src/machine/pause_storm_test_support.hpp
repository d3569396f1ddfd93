// SPDX-License-Identifier: Apache-2.0
// A storm of commands on running vCPUs: threads that want the machine paused or reset, a guest that
// wants it too, and interrupts, all at the same time; one thread obeys, as the machine's loop does.
// For tests, on scripted vCPUs and on KVM's.
//
// Nothing here looks at a clock: each command is waited for, so that a lost wake-up or a deadlock
// hangs the test, and its time limit ends it.
#pragma once

#include <poll.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "bus/bus.hpp"
#include "machine/lifecycle.hpp"
#include "machine/vcpu_set.hpp"

namespace vmm::machine {

class PauseStorm {
public:
    /// What is to be had of the guest: accesses to any of these, all the time.
    static constexpr std::uint16_t kMeterPort = 0x80;
    static constexpr std::uint16_t kAlarmPort = 0x81;  ///< a write pauses the machine
    static constexpr std::uint16_t kFaultPort = 0xee;  ///< a write: an exception; ends the test
    static constexpr std::uint64_t kMeterAt = 0xd000'0000;

    struct Guest {
        std::vector<hv::Vcpu*> vcpus;
        std::function<void()> reset;         ///< back to its start; no vCPU runs
        std::function<void()> interrupt;     ///< any thread
        std::function<void()> look = [] {};  ///< whenever no vCPU runs
    };

    explicit PauseStorm(Guest guest) : guest_{std::move(guest)} {
        auto events = Events::create(
            {.on_reset = OnReset::Reset, .on_crash = OnCrash::Exit, .on_panic = OnPanic::Pause});
        events_ = std::move(events).value();
        EXPECT_TRUE(ports_.map(kMeterPort, 1, meter_));
        EXPECT_TRUE(ports_.map(kAlarmPort, 1, alarm_));
        EXPECT_TRUE(ports_.map(kFaultPort, 1, fault_));
        EXPECT_TRUE(mmio_.map(kMeterAt, 8, meter_));
    }

    enum class End : std::uint8_t {
        Calm,      ///< when nobody commands any more and the guest has shown that it goes on
        MidStorm,  ///< while others still command
    };

    /// Starts the vCPUs, obeys that many commands, stops the vCPUs.
    void live(int commands, End end) {
        guest_.reset();
        events_->clear();
        over_ = false;
        interrupting_ = true;
        paused_ = false;
        VcpuSet set{ports_, mmio_, [this](unsigned index, const VcpuStop& stop) noexcept {
                        events_->report(index, stop);
                    }};
        events_->attach(set);
        EXPECT_TRUE(set.make_first(guest_.vcpus, [](unsigned) -> Result<> { return {}; }));
        EXPECT_TRUE(set.start());
        std::vector<std::jthread> threads;
        for (const Event event : {Event::Reset, Event::Reset, Event::Panicked})
            threads.emplace_back([this, event] { command(event); });
        std::jthread interrupter{[this] {
            while (interrupting_) {
                guest_.interrupt();
                std::this_thread::yield();
            }
        }};

        obey(set, [&, goal = handled_ + commands] { return handled_ < goal; });
        if (end == End::Calm) {
            over_ = true;
            obey(set, [this] { return commanding_ > 0; });
            const int alarms = alarms_;
            obey(set, [&] { return alarms_ < alarms + 10; });  // all of them the guest's
        }
        set.stop();
        interrupting_ = false;
        over_ = true;
        ++handled_;  // for those whose command nobody hears
        handled_.notify_all();
    }

    int resets() const { return resets_; }
    int handled() const { return handled_; }
    unsigned accesses_while_paused() const { return meter_.while_paused + alarm_.while_paused; }

private:
    /// Counts without an atomic: under its lock, and read by the machine's thread when none runs.
    struct Meter final : IoDevice {
        explicit Meter(const std::atomic<bool>& paused) : paused_{paused} {}
        std::uint64_t read(Access) noexcept override {
            count();
            return accesses;
        }
        void write(Access, std::uint64_t) noexcept override { count(); }
        void count() {
            ++accesses;
            while_paused += paused_ ? 1U : 0U;
        }
        std::uint64_t accesses = 0;
        unsigned while_paused = 0;

    private:
        const std::atomic<bool>& paused_;
    };

    struct Alarm final : IoDevice {
        explicit Alarm(PauseStorm& storm) : storm_{storm} {}
        std::uint64_t read(Access) noexcept override { return 0; }
        void write(Access, std::uint64_t) noexcept override {
            while_paused += storm_.paused_ ? 1U : 0U;
            storm_.events_->notify(GuestEvent::Panicked);
        }
        unsigned while_paused = 0;

    private:
        PauseStorm& storm_;
    };

    /// A guest that took an exception answers nothing any more: no use in waiting for the limit.
    struct Fault final : IoDevice {
        std::uint64_t read(Access) noexcept override { return 0; }
        void write(Access, std::uint64_t) noexcept override {
            GTEST_LOG_(FATAL) << "the guest took an exception";
        }
    };

    /// One command after the other. A reset forgets what was raised before: then that was the
    /// answer.
    void command(Event event) {
        ++commanding_;
        for (;;) {
            const int before = handled_;
            if (over_)
                break;
            events_->raise(event);
            handled_.wait(before);
        }
        // So that the loop looks up. Without an effect on the guest.
        --commanding_;
        events_->raise(Event::ShutDown);
    }

    template <class Condition>
    void obey(VcpuSet& set, Condition go_on) {
        while (go_on()) {
            pollfd woken{.fd = events_->fd(), .events = POLLIN, .revents = 0};
            ::poll(&woken, 1, -1);
            while (const auto taken = events_->take())
                handle(taken->event, set);
        }
    }

    void handle(Event event, VcpuSet& set) {
        if (event == Event::Reset || event == Event::Panicked) {
            set.pause();
            paused_ = true;
            EXPECT_GE(meter_.accesses, accesses_);
            accesses_ = meter_.accesses;
            guest_.look();
            if (event == Event::Reset) {
                events_->clear();
                guest_.reset();
                ++resets_;
            } else {
                ++alarms_;
            }
            paused_ = false;
            set.resume();
        } else {
            EXPECT_EQ(event, Event::ShutDown);
        }
        ++handled_;
        handled_.notify_all();
    }

    Guest guest_;
    std::unique_ptr<Events> events_;
    std::atomic<bool> paused_ = false;
    std::atomic<bool> over_ = false;  // nobody commands any more
    std::atomic<bool> interrupting_ = false;
    std::atomic<int> commanding_ = 0;
    std::atomic<int> handled_ = 0;
    Meter meter_{paused_};
    Alarm alarm_{*this};
    Fault fault_;
    Bus ports_, mmio_;

    // The machine's thread only.
    int resets_ = 0;
    int alarms_ = 0;
    std::uint64_t accesses_ = 0;
};

}  // namespace vmm::machine
