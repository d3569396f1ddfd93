// SPDX-License-Identifier: Apache-2.0
// What a hostile driver does to a console, one breach a test. After each it still works.

#include "virtio_console/console_rig.hpp"

namespace vmm::test {
namespace {

constexpr std::uint64_t kEndOfRam = 64 << 20;

class ConsoleHostileTest : public PortsTest {
protected:
    void TearDown() override {
        EXPECT_EQ(rig->status() & virtio::status::kNeedsReset, 0);
        ASSERT_TRUE(rig->reset());
        ASSERT_TRUE(rig->start());
        make_room(1 << 20, 1);
        const std::size_t before = seen(1).size();
        EXPECT_TRUE(print("alive", 1));
        EXPECT_EQ(seen(1).substr(before), "alive");
        add_control_buffers(8);
        EXPECT_TRUE(tell(0, kDeviceReady, 1));
        EXPECT_EQ(heard(), (Message{0, kDeviceAdd, 0, ""}));
    }
    std::int64_t offer(std::uint16_t queue, const std::vector<Buffer>& chain) {
        const auto id = rig->queue(queue).add(chain);
        rig->kick(queue);
        const auto used = rig->wait_used(queue);
        return used && used->id == id ? std::int64_t{used->length} : -1;
    }
    bool comes_back_empty(std::uint16_t queue) {
        const auto used = rig->wait_used(queue);
        return used && used->length == 0;
    }
};

INSTANTIATE_TEST_SUITE_P(Rings, ConsoleHostileTest,
                         testing::Values(RingKind::Split, RingKind::Packed), ring_name);

TEST_P(ConsoleHostileTest, WritableOutputIsNoOutput) {
    start_open();
    EXPECT_EQ(offer(out(1), {{rig->room(64), 64, true}}), 0);
    EXPECT_EQ(offer(out(1), {{rig->put("text"), 4}, {rig->room(64), 64, true}}), 0);
    EXPECT_EQ(seen(1), "text");
}

TEST_P(ConsoleHostileTest, EmptyOutputComesBack) {
    start_open();
    EXPECT_EQ(offer(out(1), {{rig->room(8), 0}}), 0);
    EXPECT_EQ(seen(1), "");
}

TEST_P(ConsoleHostileTest, OutputOutsideOfRamEndsThere) {
    start_open();
    for (const std::uint64_t at : {kEndOfRam, kEndOfRam - 4, ~std::uint64_t{0} - 7,
                                   ~std::uint64_t{0} - 3, std::uint64_t{1} << 63})
        EXPECT_EQ(offer(out(1), {{rig->put("x"), 1}, {Gpa{at}, 8}, {rig->put("never"), 5}}), 0);
    EXPECT_EQ(seen(1), "xxxxx");
}

TEST_P(ConsoleHostileTest, OutputThatRunsOverTheEndOfRamInALaterTurnEndsThere) {
    start_open();
    // The turn ends at 64 KiB: the next one begins inside of RAM and leaves it.
    EXPECT_EQ(offer(out(1), {{Gpa{kEndOfRam - 100'000}, 0xffffffff}}), 0);
    EXPECT_EQ(seen(1).size(), 65536u);
}

TEST_P(ConsoleHostileTest, RequestThatShrinksWhileItWaitsEnds) {
    start_open();
    set_room(6, 1);
    const Gpa at = rig->put("long enough");
    const auto id = rig->queue(out(1)).add({{at, 11}});
    rig->kick(out(1));
    ASSERT_TRUE(DeviceRig::wait_until([&] { return seen(1).size() == 6; }));

    const auto flags = GetParam() == RingKind::Packed ? VirtQueueDriver::kAvail : std::uint16_t{0};
    rig->queue(out(1)).poke_descriptor(
        GetParam() == RingKind::Packed ? std::uint16_t{0} : id,
        {.at = at.value(), .length = 2, .flags = flags, .next_or_id = id});
    make_room(100, 1);

    EXPECT_EQ(rig->wait_used(out(1)), (UsedBuffer{id, 0}));
    EXPECT_EQ(seen(1), "long e");
}

TEST_P(ConsoleHostileTest, ReadableInputBuffersComeBackEmpty) {
    start_open();
    rig->queue(in(1)).add({{rig->put("untouched"), 9}});
    rig->queue(in(1)).add({{rig->room(8), 0, true}});
    add_input_buffers(1, 64, 1);

    ASSERT_TRUE(DeviceRig::wait_until([&] { return type("data", 1) == 4; }));

    EXPECT_TRUE(comes_back_empty(in(1)));
    EXPECT_TRUE(comes_back_empty(in(1)));
    EXPECT_EQ(input(1), "data");
}

TEST_P(ConsoleHostileTest, InputBuffersOutsideOfRamLoseNoInput) {
    start_open();
    rig->queue(in(1)).add({{Gpa{kEndOfRam}, 64, true}});
    rig->queue(in(1)).add({{rig->room(2), 2, true}, {Gpa{~std::uint64_t{0} - 7}, 64, true}});
    add_input_buffers(1, 64, 1);

    ASSERT_TRUE(DeviceRig::wait_until([&] { return type("data", 1) == 4; }));

    EXPECT_TRUE(comes_back_empty(in(1)));
    EXPECT_TRUE(comes_back_empty(in(1)));
    EXPECT_EQ(input(1), "data");
}

TEST_P(ConsoleHostileTest, KicksWithoutBuffersWakeNobody) {
    start_open();
    ASSERT_EQ(type("waits", 1), 0u);
    for (int i = 0; i < 1000; ++i) {
        rig->kick(in(1));
        rig->kick(kControlIn);
    }
    ASSERT_TRUE(tell(1, kPortOpen, 1));
    EXPECT_EQ(resumed(1), 0u);
}

TEST_P(ConsoleHostileTest, ShortMessagesAreIgnored) {
    start_two();
    add_control_buffers(8);
    EXPECT_TRUE(tell_bytes(std::string(7, '\0')));
    EXPECT_TRUE(tell_bytes("\1"));
    EXPECT_EQ(offer(kControlOut, {{rig->room(8), 0}}), 0);
    EXPECT_EQ(offer(kControlOut, {{rig->room(8), 8, true}}), 0);
    EXPECT_TRUE(silent());
}

TEST_P(ConsoleHostileTest, MessageInPiecesIsAMessage) {
    start_two();
    add_control_buffers(8);
    const Gpa zeroes = rig->room(6);
    const Gpa one = rig->put_value<std::uint16_t>(1);
    EXPECT_EQ(offer(kControlOut, {{zeroes, 3}, {zeroes, 3}, {one, 1}, {zeroes, 1}}), 0);
    EXPECT_EQ(heard().event, kDeviceAdd);
}

TEST_P(ConsoleHostileTest, LongMessageIsReadNoFurther) {
    start_two();
    add_control_buffers(8);
    std::string bytes(100'000, '\xff');
    bytes.replace(0, 8, std::string("\0\0\0\0\0\0\1\0", 8));
    EXPECT_TRUE(tell_bytes(bytes));
    EXPECT_EQ(heard().event, kDeviceAdd);
}

TEST_P(ConsoleHostileTest, MessageOutsideOfRamIsIgnored) {
    start_two();
    EXPECT_EQ(offer(kControlOut, {{Gpa{kEndOfRam - 4}, 8}}), 0);
    EXPECT_EQ(offer(kControlOut, {{Gpa{~std::uint64_t{0} - 3}, 8}}), 0);
}

TEST_P(ConsoleHostileTest, UnknownPortsAreIgnored) {
    start_two();
    add_control_buffers(8);
    for (const std::uint32_t port : {2u, 3u, 31u, 0x10000u, 0x80000000u, 0xffffffffu})
        for (const std::uint16_t event : {kPortReady, kPortOpen, kPortName, kResize})
            EXPECT_TRUE(tell(port, event, 1));
    EXPECT_TRUE(silent());
}

TEST_P(ConsoleHostileTest, UnknownEventsAreIgnored) {
    start_two();
    add_control_buffers(8);
    for (const std::uint32_t event : {1u, 2u, 4u, 5u, 7u, 8u, 0x8000u, 0xffffu})
        EXPECT_TRUE(tell(0, static_cast<std::uint16_t>(event), 1));
    EXPECT_TRUE(silent());
}

TEST_P(ConsoleHostileTest, DeviceThatIsNotReadyAfterAllHearsNothing) {
    start_two();
    ASSERT_TRUE(tell(0, kDeviceReady, 1));
    ASSERT_TRUE(tell(0, kDeviceReady, 0));
    add_control_buffers(8);
    EXPECT_TRUE(silent());
}

TEST_P(ConsoleHostileTest, PortThatIsNotReadyAfterAllHearsNothing) {
    start_two();
    ASSERT_TRUE(tell(0, kPortReady, 1));
    ASSERT_TRUE(tell(0, kPortReady, 0));
    console->set_size(0, 80, 24);
    add_control_buffers(8);
    EXPECT_TRUE(silent());
}

TEST_P(ConsoleHostileTest, RepeatedMessagesNeedNoMoreRoom) {
    start_two();
    for (int i = 0; i < 500; ++i) {
        ASSERT_TRUE(tell(0, kDeviceReady, 1));
        ASSERT_TRUE(tell(1, kPortReady, 1));
        ASSERT_TRUE(tell(1, kPortOpen, static_cast<std::uint16_t>(i)));
    }
    add_control_buffers(16);
    EXPECT_EQ(heard(), (Message{0, kDeviceAdd, 0, ""}));
    EXPECT_EQ(heard(), (Message{1, kPortName, 1, "org.example.agent"}));
    EXPECT_EQ(heard(), (Message{1, kPortOpen, 1, ""}));
    EXPECT_TRUE(silent());
}

TEST_P(ConsoleHostileTest, BuffersTooSmallForTheirMessageComeBackEmpty) {
    start_two();
    add_buffer(kControlIn, 7);   // for the first DEVICE_ADD
    add_buffer(kControlIn, 8);   // for the second
    add_buffer(kControlIn, 24);  // for the name, one byte too small
    add_control_buffers(1);
    ASSERT_TRUE(tell(0, kDeviceReady, 1));
    ASSERT_TRUE(tell(1, kPortReady, 1));

    EXPECT_EQ(next_in(kControlIn), "");
    EXPECT_EQ(heard(), (Message{1, kDeviceAdd, 0, ""}));
    EXPECT_EQ(next_in(kControlIn), "");
    EXPECT_EQ(heard(), (Message{1, kPortOpen, 1, ""}));
}

TEST_P(ConsoleHostileTest, BuffersForMessagesOutsideOfRamComeBackEmpty) {
    start_two();
    rig->queue(kControlIn).add({{Gpa{kEndOfRam - 4}, 64, true}});
    rig->queue(kControlIn).add({{rig->put("readable"), 8}});
    rig->kick(kControlIn);
    ASSERT_TRUE(tell(0, kDeviceReady, 1));

    EXPECT_TRUE(comes_back_empty(kControlIn));
    EXPECT_TRUE(comes_back_empty(kControlIn));
}

TEST_P(ConsoleHostileTest, ConfigurationTakesOnlyTheEmergencyByte) {
    start_open();
    for (std::uint32_t offset = 0; offset < 12; ++offset) {
        if (offset == 8)
            continue;
        rig->write_config<std::uint8_t>(offset, 'x');
        rig->write_config<std::uint32_t>(offset, 0x78787878);
    }
    rig->write_config<std::uint32_t>(0xfffffffc, 'x');
    rig->write_config<std::uint64_t>(8, 'x');  // runs over the end

    EXPECT_EQ(seen(0), "");
    EXPECT_EQ(rig->config<std::uint32_t>(0), 0u);
    EXPECT_EQ(rig->config<std::uint32_t>(4), 2u);
    EXPECT_EQ(rig->config<std::uint64_t>(8), ~std::uint64_t{0});
}

TEST_P(ConsoleHostileTest, ResetsUnderLoadNeverStopTheDevice) {
    start_two();
    const std::string text(40'000, 't');
    for (int round = 0; round < 50; ++round) {
        set_room(100'000, 1);
        for (int i = 0; i < 4; ++i)
            add_output(text, 1);
        rig->kick(out(1));
        add_input_buffers(1, 8, 1);
        (void)type("input", 1);
        ASSERT_TRUE(rig->reset()) << round;
        make_room(0, 1);
        ASSERT_TRUE(rig->start()) << round;
    }
}

TEST_P(ConsoleHostileTest, EmergencyBytesDuringTrafficAreHarmless) {
    start_open();
    std::thread other{[&] {
        for (int i = 0; i < 2000; ++i)
            rig->write_config<std::uint32_t>(8, '!');
    }};
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(print("text", 0));
    other.join();
    EXPECT_EQ(seen(0).size(), 2400u);
}

class ConsoleBrokenTest : public PortsTest {};

INSTANTIATE_TEST_SUITE_P(Rings, ConsoleBrokenTest,
                         testing::Values(RingKind::Split, RingKind::Packed), ring_name);

TEST_P(ConsoleBrokenTest, RingWithoutSenseAsksForAResetAndThatHelps) {
    for (std::uint16_t queue = 0; queue < 6; ++queue) {
        ConsoleRig other;
        other.add_port({.console = true});
        other.add_port({.name = "agent"});
        other.make({.kind = GetParam()});
        ASSERT_TRUE(other.rig->start());
        // Something to say and somebody who reads, so that each queue is looked at.
        ASSERT_TRUE(other.tell(0, kDeviceReady, 1));
        ASSERT_TRUE(other.tell(0, kPortOpen, 1));
        ASSERT_TRUE(other.tell(1, kPortOpen, 1));
        (void)other.type("x", 0);
        (void)other.type("x", 1);
        VirtQueueDriver& ring = other.rig->queue(queue);
        if (GetParam() == RingKind::Split)
            ring.poke_avail_index(0x8000);
        else
            ring.offer_endless_chain();
        other.rig->kick(queue);

        EXPECT_TRUE(DeviceRig::wait_until([&] {
            (void)other.type("x", 0);
            (void)other.type("x", 1);
            return (other.rig->status() & virtio::status::kNeedsReset) != 0;
        })) << queue;

        ASSERT_TRUE(other.rig->reset());
        ASSERT_TRUE(other.rig->start());
        EXPECT_TRUE(other.print("alive", 1));
        EXPECT_EQ(other.seen(1), "alive");
    }
}

}  // namespace
}  // namespace vmm::test
