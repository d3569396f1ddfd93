// SPDX-License-Identifier: Apache-2.0
// A console in a machine that is paused: input, output and messages wait.
#include <thread>

#include "virtio_console/console_rig.hpp"

namespace vmm::test {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

struct ConsolePauseTest : PortsTest {};

INSTANTIATE_TEST_SUITE_P(Rings, ConsolePauseTest,
                         testing::Values(RingKind::Split, RingKind::Packed), ring_name);

constexpr std::uint64_t kRam = 1 << 20;

TEST_P(ConsolePauseTest, InputThatComesDuringAPauseIsAskedForOnResume) {
    start({.ram = kRam});
    add_input_buffers(2, 16);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return type("a") == 1; }));
    ASSERT_EQ(input(), "a");

    ASSERT_TRUE(rig->pause());
    const std::string before = rig->memory().text(Gpa{0}, kRam);
    EXPECT_EQ(type("bc"), 0u);
    EXPECT_TRUE(rig->memory().text(Gpa{0}, kRam) == before);
    const unsigned asked = resumed();
    rig->resume();

    ASSERT_TRUE(DeviceRig::wait_until([&] { return resumed() > asked; }));
    EXPECT_EQ(type("bc"), 2u);
    EXPECT_EQ(input(), "bc");
}

TEST_P(ConsolePauseTest, OutputOfAPausedMachineGoesOutOnResume) {
    start({.ram = kRam});
    ASSERT_TRUE(rig->pause());
    const auto id = add_output("late");
    rig->kick(out(0));
    EXPECT_FALSE(rig->wait_used(out(0), 5ms));
    EXPECT_EQ(seen(), "");

    rig->resume();

    EXPECT_EQ(rig->wait_used(out(0)), (UsedBuffer{id, 0}));
    EXPECT_EQ(seen(), "late");
}

// Room for output is the host's news: it comes from the loop, too.
TEST_P(ConsolePauseTest, OutputThatWaitsForRoomGoesOnAfterAPause) {
    start({.ram = kRam});
    set_room(2);
    const auto id = add_output("four");
    rig->kick(out(0));
    ASSERT_TRUE(DeviceRig::wait_until([&] { return seen() == "fo"; }));

    ASSERT_TRUE(rig->pause());
    make_room(100);
    EXPECT_FALSE(rig->wait_used(out(0), 5ms));
    rig->resume();

    EXPECT_EQ(rig->wait_used(out(0)), (UsedBuffer{id, 0}));
    EXPECT_EQ(seen(), "four");
}

TEST_P(ConsolePauseTest, NewSizeOfTheTerminalIsToldOnResume) {
    start_open();
    ASSERT_TRUE(rig->pause());
    console->set_size(0, 80, 24);
    std::this_thread::sleep_for(2ms);
    EXPECT_FALSE(rig->queue(kControlIn).collect());

    rig->resume();

    EXPECT_EQ(heard(), (Message{0, kResize, 0, "P\0\x18\0"s}));
}

TEST_P(ConsolePauseTest, DriverThatComesAfterAResetIsNotPaused) {
    start({.ram = kRam});
    ASSERT_TRUE(rig->pause());
    rig->registers().ask_reset();
    ASSERT_TRUE(DeviceRig::wait_until([&] { return rig->registers().released(); }));

    ASSERT_TRUE(rig->start());
    add_input_buffers(1, 16);

    ASSERT_TRUE(DeviceRig::wait_until([&] { return type("x") == 1; }));
    EXPECT_EQ(input(), "x");
}

}  // namespace
}  // namespace vmm::test
