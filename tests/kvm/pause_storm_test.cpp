// SPDX-License-Identifier: Apache-2.0
// Thousands of pauses and resets while KVM's vCPUs run, are interrupted, sleep and start each
// other.
#include "fixture.hpp"
#include "machine/pause_storm_test_support.hpp"

namespace vmm::payload {
namespace {

using machine::PauseStorm;

constexpr std::uint8_t kVector = 0x51;
constexpr Gpa kCommandLow{kLocalApic.value() + 0x300};
constexpr Gpa kCommandHigh{kLocalApic.value() + 0x310};

struct KvmPauseStormTest : KvmFixture {
    /// vCPU 0 goes in and out of the guest all the time and starts vCPU 1 again and again, which
    /// says so and halts; vCPU 2 waits for a start that never comes.
    static Program busy() {
        Program program;
        program.enable_local_apic().route_pin(5, kVector);
        const auto again = program.next();
        return program.out(PauseStorm::kMeterPort, 1)
            .write(Gpa{PauseStorm::kMeterAt}, 1)
            .write(kCommandHigh, 1U << 24)
            .write(kCommandLow, 0x4500)  // INIT
            .write(kCommandLow, 0x4609)  // SIPI
            .in(PauseStorm::kMeterPort)
            .out(PauseStorm::kAlarmPort, 1)
            .repeat(again, 0);
    }

    PauseStorm::Guest guest(const Program& program) {
        auto& machine = make({.vcpus = 3});
        line = std::move(machine.vm().irq_line(hv::Gsi{5})).value();
        message = std::move(machine.vm().allocate()).value();
        EXPECT_TRUE(message->unmask({kLocalApic.value(), kVector + 1}));
        return {.vcpus = {&machine.vcpu(0), &machine.vcpu(1), &machine.vcpu(2)},
                .reset =
                    [&machine, program] {
                        EXPECT_TRUE(machine.vm().reset());
                        for (unsigned i = 0; i < 3; ++i)
                            EXPECT_TRUE(machine.vcpu(i).reset());
                        EXPECT_TRUE(machine.start(program, 0, true));
                    },
                .interrupt =
                    [this] {
                        line->pulse();
                        message->signal();
                    }};
    }

    std::unique_ptr<IrqLine> line;
    std::unique_ptr<MsiVector> message;
};

TEST_F(KvmPauseStormTest, EveryCommandIsObeyedAndTheGuestGoesOn) {
    PauseStorm storm{guest(busy())};

    storm.live(3000, PauseStorm::End::Calm);

    EXPECT_GT(storm.resets(), 0);
    EXPECT_EQ(storm.accesses_while_paused(), 0U);
}

// A vCPU that never leaves the guest by itself: only the kick of a pause gets it out.
TEST_F(KvmPauseStormTest, GuestThatNeverLeavesIsPausedEachTime) {
    PauseStorm storm{guest(Program{}.wait(kFree, 1))};

    for (int life = 0; life < 20; ++life)
        storm.live(50, PauseStorm::End::MidStorm);

    EXPECT_GE(storm.handled(), 20 * 50);
}

TEST_F(KvmPauseStormTest, StopInTheMiddleEndsManyLives) {
    PauseStorm storm{guest(busy())};

    for (int life = 0; life < 50; ++life)
        storm.live(10, PauseStorm::End::MidStorm);

    EXPECT_GE(storm.handled(), 50 * 10);
    EXPECT_EQ(storm.accesses_while_paused(), 0U);
}

}  // namespace
}  // namespace vmm::payload
