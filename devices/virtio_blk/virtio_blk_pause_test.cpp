// SPDX-License-Identifier: Apache-2.0
// A disk in a machine that is paused, with requests under way.
#include <thread>

#include "virtio_blk/blk_rig.hpp"

namespace vmm::test {
namespace {

using namespace std::chrono_literals;

struct BlkPauseTest : BlkTest {};

INSTANTIATE_TEST_SUITE_P(Rings, BlkPauseTest, testing::Values(RingKind::Split, RingKind::Packed),
                         [](const auto& kind) {
                             return kind.param == RingKind::Split ? "Split" : "Packed";
                         });

constexpr std::uint64_t kRam = 4 << 20;

std::string all_of(DeviceRig& rig) {
    return rig.memory().text(Gpa{0}, kRam);
}

TEST_P(BlkPauseTest, RequestsUnderWayEndBeforeAPauseIsAnswered) {
    backend.put(0, "sector");
    backend.hold();
    start({.kind = GetParam(), .ram = kRam});
    const Gpa to = rig->room(512);
    const Sent first = read(0, to, 512);
    const Sent second = read(8, rig->room(512), 512);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 2; }));

    rig->registers().ask_pause();
    std::this_thread::sleep_for(5ms);
    EXPECT_FALSE(rig->registers().quiet());
    backend.release(1);
    EXPECT_EQ(result(first), kOk);
    EXPECT_FALSE(rig->registers().quiet());
    backend.release(1);

    EXPECT_TRUE(DeviceRig::wait_until([&] { return rig->registers().quiet(); }));
    EXPECT_EQ(result(second), kOk);
    EXPECT_EQ(rig->memory().text(to, 6), "sector");
}

TEST_P(BlkPauseTest, PausedDiskLeavesRamAloneAndGoesOnWithWhatCame) {
    start({.kind = GetParam(), .ram = kRam});
    ASSERT_TRUE(alive());
    ASSERT_TRUE(rig->pause());
    const Sent late = write(2, filled(512, 'w'));
    const std::string before = all_of(*rig);
    std::this_thread::sleep_for(5ms);
    EXPECT_TRUE(all_of(*rig) == before);
    EXPECT_EQ(status(late), kUntouched);

    rig->resume();

    EXPECT_EQ(result(late), kOk);
    EXPECT_TRUE(alive());
}

TEST_P(BlkPauseTest, ResumeDoesNotWaitForAHostThatHangs) {
    options.queues = 2;
    backend.hold();
    start({.kind = GetParam(), .ram = kRam});
    const Sent stuck = read(0, rig->room(512), 512);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));
    rig->registers().ask_pause();
    std::this_thread::sleep_for(2ms);

    rig->resume();
    const Sent other = send(kGetId, 0, {{rig->room(20), 20, true}}, 1);

    EXPECT_EQ(result(other), kOk);
    EXPECT_FALSE(rig->registers().quiet());
    backend.release_all();
    EXPECT_EQ(result(stuck), kOk);
}

TEST_P(BlkPauseTest, ResetDuringAPauseCancelsWhatIsUnderWay) {
    backend.hold();
    backend.let_cancel();
    start({.kind = GetParam(), .ram = kRam});
    (void)read(0, rig->room(512), 512);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return backend.held() == 1; }));
    rig->registers().ask_pause();

    rig->registers().ask_reset();

    EXPECT_TRUE(DeviceRig::wait_until([&] { return rig->registers().released(); }));
    backend.release_all();
    ASSERT_TRUE(rig->start());
    EXPECT_TRUE(alive());
}

// Many rounds, because what is sought is a completion that nobody waits for.
TEST_P(BlkPauseTest, PausesInTheMiddleOfTrafficLoseNothing) {
    options.queues = 2;
    start({.kind = GetParam(), .ram = 64 << 20});
    for (int round = 0; round < 300; ++round) {
        std::vector<Sent> sent;
        for (std::uint16_t i = 0; i < 6; ++i)
            sent.push_back(send(kIn, 8 * i, {{rig->room(512), 512, true}}, i % 2));
        rig->registers().ask_pause();
        ASSERT_TRUE(round % 3 == 0 ||
                    DeviceRig::wait_until([&] { return rig->registers().quiet(); }))
            << round;
        sent.push_back(send(kFlush, 0));
        rig->resume();
        for (int i = 0; i < 3; ++i)
            ASSERT_TRUE(rig->wait_used(1)) << round;
        for (int i = 0; i < 4; ++i)
            ASSERT_TRUE(rig->wait_used(0)) << round;
        for (const Sent& each : sent)
            EXPECT_EQ(status(each), kOk);
    }
}

}  // namespace
}  // namespace vmm::test
