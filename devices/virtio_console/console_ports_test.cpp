// SPDX-License-Identifier: Apache-2.0
// Several ports, and what is said about them.
#include "virtio_console/console.hpp"
#include "virtio_console/console_rig.hpp"

namespace vmm::test {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

INSTANTIATE_TEST_SUITE_P(Rings, PortsTest, testing::Values(RingKind::Split, RingKind::Packed),
                         ring_name);

TEST_P(PortsTest, EachPortHasTwoQueuesAndThereAreTwoForControl) {
    start_two();
    EXPECT_EQ(console->queue_sizes().size(), 6u);
    EXPECT_NE(rig->offered() & kMultiportBit, 0u);
    EXPECT_EQ(rig->config<std::uint32_t>(4), 2u);
}

TEST_P(PortsTest, NameOrLackOfAConsoleOffersMultiport) {
    ConsoleRig named;
    named.add_port({.name = "tty", .console = true});
    named.make();
    EXPECT_NE(named.rig->offered() & kMultiportBit, 0u);
    EXPECT_EQ(named.console->queue_sizes().size(), 4u);

    ConsoleRig agent;
    agent.add_port({.name = "agent"});
    agent.make();
    EXPECT_EQ(agent.rig->offered() & 0xff'ffff, kMultiportBit);
}

TEST_P(PortsTest, DriverThatIsReadyHearsOfEachPort) {
    start_two();
    add_control_buffers(4);

    ASSERT_TRUE(tell(0xffffffff, kDeviceReady, 1));

    EXPECT_EQ(heard(), (Message{0, kDeviceAdd, 0, ""}));
    EXPECT_EQ(heard(), (Message{1, kDeviceAdd, 0, ""}));
    EXPECT_TRUE(silent());
}

TEST_P(PortsTest, PortThatIsReadyIsDescribed) {
    start_two();
    console->set_size(0, 100, 30);
    add_control_buffers(16);
    ASSERT_TRUE(tell(0, kDeviceReady, 1));
    heard();
    heard();

    ASSERT_TRUE(tell(0, kPortReady, 1));
    EXPECT_EQ(heard(), (Message{0, kConsolePort, 1, ""}));
    EXPECT_EQ(heard(), (Message{0, kResize, 0, "d\0\x1e\0"s}));
    EXPECT_EQ(heard(), (Message{0, kPortOpen, 1, ""}));

    ASSERT_TRUE(tell(1, kPortReady, 1));
    EXPECT_EQ(heard(), (Message{1, kPortName, 1, "org.example.agent"}));
    EXPECT_EQ(heard(), (Message{1, kPortOpen, 1, ""}));
    EXPECT_TRUE(silent());
}

TEST_P(PortsTest, MessagesWaitForBuffers) {
    start_two();
    ASSERT_TRUE(tell(0, kDeviceReady, 1));
    ASSERT_TRUE(tell(1, kPortReady, 1));

    add_control_buffers(1);
    EXPECT_EQ(heard(), (Message{0, kDeviceAdd, 0, ""}));
    EXPECT_TRUE(silent());
    add_control_buffers(2);
    EXPECT_EQ(heard(), (Message{1, kPortName, 1, "org.example.agent"}));
    EXPECT_EQ(heard(), (Message{1, kPortOpen, 1, ""}));
}

TEST_P(PortsTest, NewSizeIsToldAtOnce) {
    start_open();

    console->set_size(0, 80, 24);

    EXPECT_EQ(heard(), (Message{0, kResize, 0, "P\0\x18\0"s}));
    EXPECT_EQ(rig->config<std::uint32_t>(0), 80u | 24u << 16);
}

TEST_P(PortsTest, OfSeveralSizesTheLastOneIsTold) {
    start_two();
    ASSERT_TRUE(tell(0, kPortReady, 1));
    for (std::uint16_t columns = 1; columns <= 1000; ++columns)
        console->set_size(0, columns, 24);
    console->set_size(0, 80, 24);

    add_control_buffers(8);

    EXPECT_EQ(heard(), (Message{0, kConsolePort, 1, ""}));
    EXPECT_EQ(heard(), (Message{0, kResize, 0, "P\0\x18\0"s}));
    EXPECT_EQ(heard(), (Message{0, kPortOpen, 1, ""}));
    EXPECT_TRUE(silent());
}

TEST_P(PortsTest, SameSizeAgainIsNotTold) {
    start_open();
    console->set_size(0, 80, 24);
    console->set_size(0, 80, 24);
    (void)heard();
    EXPECT_TRUE(silent());
}

TEST_P(PortsTest, SizeOfAPortThatIsNoConsoleIsNothing) {
    start_open();
    console->set_size(1, 80, 24);
    EXPECT_TRUE(silent());
    EXPECT_EQ(rig->config<std::uint32_t>(0), 0u);
}

TEST_P(PortsTest, PortsHaveTheirOwnOutput) {
    start_open();
    EXPECT_TRUE(print("to the console", 0));
    EXPECT_TRUE(print("to the agent", 1));
    EXPECT_EQ(seen(0), "to the console");
    EXPECT_EQ(seen(1), "to the agent");
}

TEST_P(PortsTest, PortsHaveTheirOwnInput) {
    start_open();
    add_input_buffers(1, 64, 0);
    add_input_buffers(1, 64, 1);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return type("for the console", 0) == 15; }));
    EXPECT_TRUE(DeviceRig::wait_until([&] { return type("for the agent", 1) == 13; }));
    EXPECT_EQ(input(1), "for the agent");
    EXPECT_EQ(input(0), "for the console");
}

TEST_P(PortsTest, PortWithoutRoomDoesNotStopTheOthers) {
    start_open();
    set_room(0, 1);
    add_output("waits", 1);
    rig->kick(out(1));

    EXPECT_TRUE(print("goes on", 0));

    EXPECT_EQ(seen(0), "goes on");
    EXPECT_EQ(rig->queue(out(1)).collect(), std::nullopt);
    make_room(100, 1);
    EXPECT_TRUE(rig->wait_used(out(1)).has_value());
    EXPECT_EQ(seen(1), "waits");
}

TEST_P(PortsTest, WhatIsLeftAtTheEndIsCountedForEachPort) {
    start_open();
    set_room(1, 0);
    set_room(0, 1);
    add_output("one");
    add_output("three", 1);
    rig->kick(out(0));
    rig->kick(out(1));
    ASSERT_TRUE(DeviceRig::wait_until([&] { return seen() == "o" && console->has_output(1); }));

    EXPECT_EQ(console->drop_output(0), 2u);
    EXPECT_EQ(console->drop_output(1), 5u);
}

TEST_P(PortsTest, InputWaitsUntilSomebodyInTheGuestOpensThePort) {
    start_two();
    add_input_buffers(1, 64, 1);
    ASSERT_TRUE(tell(1, kPortReady, 1));
    EXPECT_EQ(type("hello", 1), 0u);
    EXPECT_EQ(resumed(1), 0u);

    ASSERT_TRUE(tell(1, kPortOpen, 1));

    EXPECT_TRUE(DeviceRig::wait_until([&] { return resumed(1) == 1; }));
    EXPECT_EQ(type("hello", 1), 5u);
    EXPECT_EQ(input(1), "hello");
}

TEST_P(PortsTest, InputWaitsAgainWhenThePortWasClosed) {
    start_open();
    add_input_buffers(2, 64, 1);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return type("a", 1) == 1; }));

    ASSERT_TRUE(tell(1, kPortOpen, 0));
    EXPECT_TRUE(DeviceRig::wait_until([&] { return type("b", 1) == 0; }));

    ASSERT_TRUE(tell(1, kPortOpen, 1));
    EXPECT_TRUE(DeviceRig::wait_until([&] { return resumed(1) >= 1 && type("b", 1) == 1; }));
}

TEST_P(PortsTest, DriverWithoutMultiportHasPortZeroAlone) {
    start_two({.without = kMultiportBit});
    add_output("nobody asked", 1);
    rig->kick(out(1));
    add_input_buffers(1, 8, 1);
    add_input_buffers(1, 8, 0);
    add_control_buffers(1);

    EXPECT_TRUE(print("port 0"));
    EXPECT_TRUE(DeviceRig::wait_until([&] { return type("x", 0) == 1; }));

    EXPECT_EQ(input(0), "x");
    EXPECT_EQ(type("x", 1), 0u);
    for (const std::uint16_t queue : {kControlIn, in(1), out(1)})
        EXPECT_EQ(rig->queue(queue).collect(), std::nullopt) << queue;
    EXPECT_EQ(seen(1), "");
}

TEST_P(PortsTest, NewDriverHearsEverythingAgain) {
    start_open();
    ASSERT_TRUE(rig->reset());
    ASSERT_TRUE(rig->start());
    EXPECT_EQ(type("closed", 1), 0u);
    add_control_buffers(16);
    EXPECT_TRUE(silent());

    ASSERT_TRUE(tell(0, kDeviceReady, 1));
    EXPECT_EQ(heard(), (Message{0, kDeviceAdd, 0, ""}));
    EXPECT_EQ(heard(), (Message{1, kDeviceAdd, 0, ""}));
    ASSERT_TRUE(tell(1, kPortReady, 1));
    EXPECT_EQ(heard().more, "org.example.agent");
}

TEST_P(PortsTest, ControlQueuesThatWereResetGoOn) {
    start_open();
    ASSERT_TRUE(rig->reset_queue(kControlIn));
    console->set_size(0, 80, 24);  // nowhere to put it
    rig->set_up_queue(kControlIn);
    add_control_buffers(1);
    EXPECT_EQ(heard().event, kResize);
}

}  // namespace
}  // namespace vmm::test
