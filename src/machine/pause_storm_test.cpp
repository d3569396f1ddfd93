// SPDX-License-Identifier: Apache-2.0
// vCPUs whose kicks, sleeps and half done accesses are all in our hands. tests/kvm has the same
// storm on real ones.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>

#include "machine/pause_storm_test_support.hpp"

namespace vmm::machine {
namespace {

/// Goes through accesses of all kinds for ever, and sleeps in between until an interrupt or a kick.
/// What has no atomic is the running thread's, or whoever's that has paused it.
class BusyVcpu final : public hv::Vcpu {
public:
    Result<hv::VmExit> run() override {
        if (std::exchange(half_done_, false)) {
            ++halves_;
            return hv::exit::MmioWrite{Gpa{PauseStorm::kMeterAt + 4}, span()};
        }
        for (;;) {
            if ((woken_by_.fetch_and(~kKick) & kKick) != 0)
                return hv::exit::Interrupted{};
            switch (step_++ % 5) {
                case 0:
                    return hv::exit::PortOut{PauseStorm::kMeterPort, AccessSize::Byte,
                                             span().first(1)};
                case 1:  // the first half of one access
                    ++halves_;
                    half_done_ = true;
                    return hv::exit::MmioWrite{Gpa{PauseStorm::kMeterAt}, span()};
                case 2:
                    return hv::exit::PortOut{PauseStorm::kAlarmPort, AccessSize::Byte,
                                             span().first(1)};
                case 3:
                    woken_by_.wait(0);
                    woken_by_.fetch_and(~kInterrupt);
                    break;
                default:
                    return hv::exit::MmioRead{Gpa{PauseStorm::kMeterAt}, data_};
            }
        }
    }
    Result<bool> complete_io() override { return !half_done_; }
    void kick() noexcept override { wake(kKick); }
    void interrupt() noexcept { wake(kInterrupt); }

    void reset() { step_ = 0; }
    bool in_the_middle() const { return half_done_ || halves_ % 2 != 0; }

private:
    static constexpr unsigned kKick = 1;
    static constexpr unsigned kInterrupt = 2;

    void wake(unsigned why) noexcept {
        woken_by_.fetch_or(why);
        woken_by_.notify_one();
    }
    std::span<std::byte> span() { return std::span{data_}; }

    std::atomic<unsigned> woken_by_ = 0;
    unsigned step_ = 0;
    unsigned halves_ = 0;
    bool half_done_ = false;
    std::array<std::byte, 4> data_{};
};

struct PauseStormTest : testing::Test {
    PauseStorm::Guest guest() {
        return {.vcpus = {&vcpus[0], &vcpus[1], &vcpus[2]},
                .reset =
                    [this] {
                        for (BusyVcpu& vcpu : vcpus)
                            vcpu.reset();
                    },
                .interrupt =
                    [this] {
                        for (BusyVcpu& vcpu : vcpus)
                            vcpu.interrupt();
                    },
                .look =
                    [this] {
                        for (const BusyVcpu& vcpu : vcpus)
                            in_the_middle += vcpu.in_the_middle() ? 1 : 0;
                    }};
    }

    std::array<BusyVcpu, 3> vcpus;
    int in_the_middle = 0;
};

TEST_F(PauseStormTest, EveryCommandIsObeyedAndTheGuestGoesOn) {
    PauseStorm storm{guest()};

    storm.live(10000, PauseStorm::End::Calm);

    EXPECT_GT(storm.resets(), 0);
    EXPECT_EQ(storm.accesses_while_paused(), 0U);
    EXPECT_EQ(in_the_middle, 0);
}

TEST_F(PauseStormTest, StopInTheMiddleEndsManyLives) {
    PauseStorm storm{guest()};

    for (int life = 0; life < 100; ++life)
        storm.live(20, PauseStorm::End::MidStorm);

    EXPECT_GE(storm.handled(), 100 * 20);
    EXPECT_EQ(storm.accesses_while_paused(), 0U);
    EXPECT_EQ(in_the_middle, 0);
}

}  // namespace
}  // namespace vmm::machine
