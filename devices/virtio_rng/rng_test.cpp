// SPDX-License-Identifier: Apache-2.0
#include "virtio_rng/rng.hpp"

#include "support/saved_state.hpp"
#include "virtio_rng/rng_rig.hpp"

namespace vmm::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Rings, RngTest, testing::Values(RingKind::Split, RingKind::Packed),
                         ring_name);

TEST_P(RngTest, IsAnEntropyDeviceWithOneQueueAndNoConfiguration) {
    make();
    EXPECT_EQ(device->type(), virtio::DeviceType::Rng);
    EXPECT_EQ(device->queue_sizes().size(), 1u);
    EXPECT_EQ(device->queue_sizes()[0], 128);
    EXPECT_EQ(rig->config<std::uint8_t>(0), 0xff);
    // None of its own: bits 0 to 23.
    EXPECT_EQ(rig->offered() & 0xff'ffff, 0u);
}

TEST_P(RngTest, RequestIsFilledWhole) {
    start();
    const Gpa to = rig->put(std::string(65, '#'));

    EXPECT_EQ(ask(to, 64), 64);

    EXPECT_EQ(rig->memory().text(to, 65), foreseen(64) + '#');
    EXPECT_TRUE(rig->interrupted(0));
    EXPECT_EQ(rig->interrupts(0), 1);
}

TEST_P(RngTest, RequestInPiecesIsFilledFromTheFront) {
    start();
    const Gpa first = rig->room(100);
    const Gpa second = rig->room(1);
    const Gpa third = rig->room(50);

    EXPECT_EQ(offer({{first, 100, true}, {second, 1, true}, {third, 50, true}}), 151);

    EXPECT_EQ(rig->memory().text(first, 100) + rig->memory().text(second, 1) +
                  rig->memory().text(third, 50),
              foreseen(151));
}

TEST_P(RngTest, RequestThroughATableIsFilled) {
    start();
    const Gpa to = rig->room(32);
    const auto id = rig->queue(0).add_indirect({{to, 16, true}, {Gpa{to.value() + 16}, 16, true}},
                                               rig->room(32));
    rig->kick(0);

    EXPECT_EQ(rig->wait_used(0), (UsedBuffer{id, 32}));

    EXPECT_EQ(rig->memory().text(to, 32), foreseen(32));
}

TEST_P(RngTest, EachRequestGetsOtherBytes) {
    start();
    const Gpa to = rig->room(16);
    ASSERT_EQ(ask(to, 16), 16);
    const std::string first = rig->memory().text(to, 16);

    ASSERT_EQ(ask(to, 16), 16);

    EXPECT_NE(rig->memory().text(to, 16), first);
}

TEST_P(RngTest, ManyRequestsComeBackInOrder) {
    start({.in_order = true});
    const Gpa to = rig->room(128 * 8);
    std::vector<std::uint16_t> ids;
    for (unsigned i = 0; i < 128; ++i)
        ids.push_back(rig->queue(0).add({{Gpa{to.value() + 8 * i}, 8, true}}));
    rig->kick(0);

    for (const std::uint16_t id : ids)
        ASSERT_EQ(rig->wait_used(0), (UsedBuffer{id, 8}));

    EXPECT_EQ(rig->memory().text(to, 128 * 8), foreseen(128 * 8));
}

TEST_P(RngTest, BatchesOfLargeRequestsAreAllServed) {
    start();
    const Gpa to = rig->room(64 << 10);
    for (unsigned i = 0; i < 20; ++i)
        rig->queue(0).add({{to, 64 << 10, true}});
    rig->kick(0);

    for (unsigned i = 0; i < 20; ++i)
        EXPECT_EQ(rig->wait_used(0).value_or(UsedBuffer{}).length, 65536u) << i;
}

TEST_P(RngTest, KicksAreAskedForAgainWhenAllIsServed) {
    start();
    const Gpa to = rig->room(8);
    for (int i = 0; i < 10; ++i) {
        rig->queue(0).add({{to, 8, true}});
        // The device may still be on its way to ask for the next kick: then it looks once more.
        rig->kick_if_wanted(0);
        ASSERT_TRUE(rig->wait_used(0).has_value()) << i;
    }
}

TEST_P(RngTest, ResetWaitsForTheSourceWithoutHoldingTheDriver) {
    start();
    entropy.held = true;
    rig->queue(0).add({{rig->room(8), 8, true}});
    rig->kick(0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return entropy.asked.load(); }));

    rig->write_status(0);  // comes back at once

    EXPECT_NE(rig->status(), 0);
    entropy.release();
    EXPECT_TRUE(DeviceRig::wait_until([&] { return rig->status() == 0; }));
}

TEST_P(RngTest, PausedMachineGetsNoEntropyUntilItIsResumed) {
    start({.ram = 1 << 20});
    ASSERT_EQ(ask(rig->room(8), 8), 8);
    ASSERT_TRUE(rig->pause());
    const std::uint16_t id = rig->queue(0).add({{rig->room(16), 16, true}});
    rig->kick(0);
    const std::string before = rig->memory().text(Gpa{0}, 1 << 20);
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
    EXPECT_TRUE(rig->memory().text(Gpa{0}, 1 << 20) == before);

    rig->resume();

    EXPECT_EQ(rig->wait_used(0), (UsedBuffer{id, 16}));
}

TEST_P(RngTest, WorksAgainAfterResetAndAfterTheQueueAloneWasReset) {
    start();
    ASSERT_EQ(ask(rig->room(8), 8), 8);
    ASSERT_TRUE(rig->reset());
    ASSERT_TRUE(rig->start());
    EXPECT_EQ(ask(rig->room(8), 8), 8);

    ASSERT_TRUE(rig->reset_queue(0));
    rig->set_up_queue(0);

    EXPECT_EQ(ask(rig->room(8), 8), 8);
}

TEST_P(RngTest, StateOfTheBodyHasNoFields) {
    make();
    EXPECT_EQ(saved(*device).size(), 6u);
    EXPECT_EQ(restored(*device, saved(*device)), "");
    EXPECT_EQ(half_taken_states(*device), 0u);
}

}  // namespace
}  // namespace vmm::test
