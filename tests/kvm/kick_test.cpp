// SPDX-License-Identifier: Apache-2.0
// A kick is never lost, whenever it comes.
#include <signal.h>

#include <atomic>
#include <thread>

#include "fixture.hpp"

namespace vmm::payload {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = Access::Kind;

using KvmKickTest = KvmFixture;

/// A guest that never leaves by itself.
Program endless() {
    Program program;
    program.wait(kFree, 1);  // nobody writes there
    return program;
}

TEST_F(KvmKickTest, KickBeforeTheFirstRunEndsIt) {
    auto& machine = make();
    ASSERT_TRUE(machine.start(endless()));
    machine.vcpu().kick();

    const auto trace = machine.run();

    EXPECT_EQ(trace.ended, "interrupted");
}

TEST_F(KvmKickTest, ManyKicksBeforeARunEndItOnce) {
    auto& machine = make();
    Program program;
    program.out(0x80, 1).end();
    ASSERT_TRUE(machine.start(program));
    for (int i = 0; i < 100; ++i)
        machine.vcpu().kick();

    const auto first = machine.run();
    const auto second = machine.run();

    EXPECT_EQ(first.ended, "interrupted");
    EXPECT_THAT(first.accesses, IsEmpty());
    EXPECT_EQ(second.ended, "end");
    EXPECT_THAT(second.values(Kind::Out), ElementsAre(1));
}

TEST_F(KvmKickTest, KickEndsASpinningGuest) {
    auto& machine = make();
    ASSERT_TRUE(machine.start(endless()));
    std::thread kicker{[&] {
        std::this_thread::sleep_for(20ms);
        machine.vcpu().kick();
    }};

    const auto trace = machine.run();
    kicker.join();

    EXPECT_EQ(trace.ended, "interrupted");
}

TEST_F(KvmKickTest, KickDuringAnExitEndsTheNextRunAfterTheAnswer) {
    auto& machine = make();
    Program program;
    program.in(0x80).wait(kFree, 1);
    ASSERT_TRUE(machine.start(program));

    const auto trace = machine.run(0, [&](Access& access) {
        access.data[0] = std::byte{0x42};
        machine.vcpu().kick();
    });

    EXPECT_EQ(trace.ended, "interrupted");
    EXPECT_EQ(machine.vcpu().registers()->rax & 0xff, 0x42U);  // KVM took the answer first
}

TEST_F(KvmKickTest, BlockedSignalsDoNotBlockKicks) {
    auto& machine = make();
    ASSERT_TRUE(machine.start(endless()));
    std::string ended;
    std::thread vcpu{[&] {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // as a VMM does in all but one thread
        ended = machine.run().ended;
    }};
    std::this_thread::sleep_for(20ms);

    machine.vcpu().kick();
    vcpu.join();

    EXPECT_EQ(ended, "interrupted");
}

/// Asks for a stop, round after round, and waits each time until it was seen: a lost kick hangs the
/// test. Ends early on a busy machine, where each round costs a time slice.
struct Storm {
    static constexpr int kRounds = 3000;
    static constexpr int kEnough = 100;

    explicit Storm(hv::x86::Vcpu& vcpu) : kicker_{[this, &vcpu] { rage(vcpu); }} {}
    ~Storm() { kicker_.join(); }
    Storm(const Storm&) = delete;
    Storm& operator=(const Storm&) = delete;

    /// The run loop looks at what is wanted, as it does only after an interrupted run.
    void look() {
        seen = asked.load();
        seen.notify_one();
    }
    bool over() const { return seen.load() == kOver; }

    std::atomic<int> asked = 0;
    std::atomic<int> seen = 0;
    std::atomic<int> rounds = 0;

private:
    static constexpr int kOver = -1;

    void ask(hv::x86::Vcpu& vcpu, int what) {
        const int before = asked.exchange(what);
        vcpu.kick();
        seen.wait(before);
    }
    void rage(hv::x86::Vcpu& vcpu) {
        const auto deadline = std::chrono::steady_clock::now() + 5s;
        while (rounds < kRounds &&
               (rounds < kEnough || std::chrono::steady_clock::now() < deadline))
            ask(vcpu, ++rounds);
        ask(vcpu, kOver);
    }

    std::thread kicker_;
};

TEST_F(KvmKickTest, StormLosesNone) {
    auto& machine = make();
    Program program;  // in and out of KVM_RUN all the time, so that kicks meet it everywhere
    program.out(0x80, 1).write(kUnbacked, 1).repeat(0, 0);
    ASSERT_TRUE(machine.start(program));
    Storm storm{machine.vcpu()};

    std::string wrong;
    while (!storm.over() && wrong.empty()) {
        const auto exit = machine.vcpu().run();
        if (!exit)
            wrong = exit.error().one_line();
        else if (std::holds_alternative<hv::exit::Interrupted>(*exit))
            storm.look();
    }

    EXPECT_EQ(wrong, "");
    EXPECT_GE(storm.rounds, Storm::kEnough);
}

TEST_F(KvmKickTest, StormOnAGuestThatNeverLeavesLosesNone) {
    auto& machine = make();
    ASSERT_TRUE(machine.start(endless()));
    Storm storm{machine.vcpu()};

    std::string ended = "interrupted";
    while (!storm.over() && ended == "interrupted") {
        ended = machine.run().ended;
        storm.look();
    }

    EXPECT_EQ(ended, "interrupted");
    EXPECT_GE(storm.rounds, Storm::kEnough);
}

TEST_F(KvmKickTest, KickersFromManyThreadsAreSafe) {
    auto& machine = make();
    ASSERT_TRUE(machine.start(endless()));
    std::atomic<bool> stop = false;
    std::atomic<int> kickers = 4;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 500; ++n)
                machine.vcpu().kick();
            if (--kickers == 0) {
                stop = true;
                machine.vcpu().kick();
            }
        });

    std::string ended = "interrupted";
    while (!stop && ended == "interrupted")
        ended = machine.run().ended;
    for (auto& thread : threads)
        thread.join();

    EXPECT_EQ(ended, "interrupted");
    EXPECT_TRUE(stop);
}

}  // namespace
}  // namespace vmm::payload
