// SPDX-License-Identifier: Apache-2.0
// The plain console: one port, no control queues.
#include "virtio_console/console.hpp"

#include "virtio_console/console_rig.hpp"

namespace vmm::test {
namespace {

using namespace std::chrono_literals;

INSTANTIATE_TEST_SUITE_P(Rings, ConsoleTest, testing::Values(RingKind::Split, RingKind::Packed),
                         ring_name);

TEST_P(ConsoleTest, PlainConsoleHasTwoQueuesAndNoMultiport) {
    make();
    EXPECT_EQ(console->type(), virtio::DeviceType::Console);
    EXPECT_EQ(console->queue_sizes().size(), 2u);
    EXPECT_EQ(rig->offered() & 0xff'ffff, 0b101u);  // SIZE, EMERG_WRITE
    EXPECT_EQ(rig->config<std::uint32_t>(0), 0u);
    EXPECT_EQ(rig->config<std::uint32_t>(4), 1u);
    EXPECT_EQ(rig->config<std::uint32_t>(8), 0u);
}

TEST_P(ConsoleTest, OutputReachesTheHost) {
    start();
    EXPECT_TRUE(print("Linux version 6"));
    EXPECT_EQ(seen(), "Linux version 6");
    EXPECT_TRUE(rig->interrupted(1));
    EXPECT_EQ(rig->interrupts(1), 1);
}

TEST_P(ConsoleTest, OutputInPiecesReachesTheHostInOrder) {
    start();
    const auto id =
        rig->queue(1).add({{rig->put("one "), 4}, {rig->put("two "), 4}, {rig->put("three"), 5}});
    rig->kick(1);

    EXPECT_EQ(rig->wait_used(1), (UsedBuffer{id, 0}));

    EXPECT_EQ(seen(), "one two three");
}

TEST_P(ConsoleTest, OutputThroughATableReachesTheHost) {
    start();
    rig->queue(1).add_indirect({{rig->put("in"), 2}, {rig->put("direct"), 6}}, rig->room(32));
    rig->kick(1);
    ASSERT_TRUE(rig->wait_used(1).has_value());
    EXPECT_EQ(seen(), "indirect");
}

TEST_P(ConsoleTest, ManyRequestsComeBackInOrder) {
    start({.in_order = true});
    std::string all;
    for (int round = 0; round < 100; ++round) {
        std::vector<std::uint16_t> ids;
        for (int i = 0; i < 16; ++i) {
            const std::string text = std::to_string(round * 16 + i) + ' ';
            all += text;
            ids.push_back(add_output(text));
        }
        rig->kick(1);
        for (const std::uint16_t id : ids)
            ASSERT_EQ(rig->wait_used(1), (UsedBuffer{id, 0}));
    }
    EXPECT_EQ(seen(), all);
}

TEST_P(ConsoleTest, LargeRequestGoesOutInTurnsAndWhole) {
    start();
    std::string text(300'000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i)
        text[i] = static_cast<char>(i % 251);

    EXPECT_TRUE(print(text));

    EXPECT_TRUE(seen() == text);
}

TEST_P(ConsoleTest, WhatTheHostDoesNotTakeWaitsForRoom) {
    start({.in_order = true});
    set_room(3);
    const auto first = add_output("first ");
    const auto second = add_output("second");
    rig->kick(1);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return seen() == "fir"; }));
    EXPECT_EQ(rig->queue(1).collect(), std::nullopt);

    make_room(5);
    EXPECT_EQ(rig->wait_used(1), (UsedBuffer{first, 0}));
    EXPECT_TRUE(DeviceRig::wait_until([&] { return seen() == "first se"; }));
    EXPECT_EQ(rig->queue(1).collect(), std::nullopt);

    make_room(100);
    EXPECT_EQ(rig->wait_used(1), (UsedBuffer{second, 0}));
    EXPECT_EQ(seen(), "first second");
}

TEST_P(ConsoleTest, RequestInPiecesGoesOnWhereTheHostStopped) {
    start();
    set_room(5);
    rig->queue(1).add({{rig->put("abc"), 3}, {rig->put("def"), 3}, {rig->put("ghi"), 3}});
    rig->kick(1);
    for (const char* const so_far : {"abcde", "abcdef", "abcdefg", "abcdefgh"}) {
        ASSERT_TRUE(DeviceRig::wait_until([&] { return seen() == so_far; })) << seen();
        make_room(1);
    }
    EXPECT_TRUE(rig->wait_used(1).has_value());
    EXPECT_EQ(seen(), "abcdefghi");
}

TEST_P(ConsoleTest, KicksWhileTheHostIsFullAskItNothing) {
    start();
    set_room(0);
    add_output("text");
    rig->kick(1);
    for (int i = 0; i < 100; ++i)
        rig->kick(1);
    EXPECT_FALSE(rig->queue(1).collect().has_value());
    make_room(100);
    EXPECT_TRUE(rig->wait_used(1).has_value());
    EXPECT_EQ(seen(), "text");
}

TEST_P(ConsoleTest, WhatIsLeftAtTheEndIsKnownAndCounted) {
    start();
    EXPECT_FALSE(console->has_output(0));
    EXPECT_TRUE(print("first"));
    EXPECT_FALSE(console->has_output(0));

    set_room(2);
    add_output("second");
    add_output("third");
    rig->kick(1);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return seen() == "firstse"; }));
    EXPECT_TRUE(console->has_output(0));

    EXPECT_EQ(console->drop_output(0), 9u);
    EXPECT_FALSE(console->has_output(0));
    make_room(100);  // too late
    EXPECT_EQ(console->drop_output(0), 9u);
    EXPECT_EQ(seen(), "firstse");
}

TEST_P(ConsoleTest, InputReachesTheDriver) {
    start();
    add_input_buffers(2, 64);

    EXPECT_TRUE(DeviceRig::wait_until([&] { return type("ls\n") == 3; }));

    EXPECT_EQ(input(), "ls\n");
    EXPECT_TRUE(rig->interrupted(0));
    EXPECT_EQ(rig->interrupts(0), 1);
}

TEST_P(ConsoleTest, InputFillsSeveralBuffersAndTheRestWaits) {
    start();
    add_input_buffers(2, 4);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return type("1") == 1; }));
    ASSERT_EQ(input(), "1");
    add_input_buffers(1, 4);

    EXPECT_EQ(type("abcdefghijk"), 8u);
    EXPECT_EQ(input(), "abcd");
    EXPECT_EQ(input(), "efgh");
    const unsigned before = resumed();

    add_input_buffers(1, 4);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return resumed() == before + 1; }));
    EXPECT_EQ(type("ijk"), 3u);
    EXPECT_EQ(input(), "ijk");
}

TEST_P(ConsoleTest, BufferInPiecesIsFilledFromTheFront) {
    start();
    const Gpa first = rig->room(2);
    const Gpa second = rig->room(8);
    const auto id = rig->queue(0).add({{first, 2, true}, {second, 8, true}});
    rig->kick(0);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return type("whoami") == 6; }));

    EXPECT_EQ(rig->wait_used(0), (UsedBuffer{id, 6}));

    EXPECT_EQ(rig->memory().text(first, 2) + rig->memory().text(second, 4), "whoami");
}

TEST_P(ConsoleTest, InputWaitsForADriver) {
    make({.kind = GetParam()});
    EXPECT_EQ(type("early"), 0u);
    ASSERT_TRUE(rig->start());
    EXPECT_EQ(resumed(), 0u);

    add_input_buffers(1, 64);

    EXPECT_TRUE(DeviceRig::wait_until([&] { return resumed() == 1; }));
    EXPECT_EQ(type("early"), 5u);
    EXPECT_EQ(input(), "early");
}

TEST_P(ConsoleTest, BuffersThatNobodyWaitsForWakeNobody) {
    start();
    add_input_buffers(2, 64);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return type("x") == 1; }));
    const unsigned before = resumed();

    for (int i = 0; i < 8; ++i)
        add_input_buffers(1, 64);
    ASSERT_TRUE(print("the device has seen it all"));

    EXPECT_EQ(resumed(), before);
}

TEST_P(ConsoleTest, SizeIsInTheConfigurationAndTellsTheDriver) {
    start();
    const auto generation = rig->registers().config_generation();

    console->set_size(0, 132, 43);

    EXPECT_EQ(rig->config<std::uint16_t>(0), 132);
    EXPECT_EQ(rig->config<std::uint16_t>(2), 43);
    EXPECT_EQ(rig->config_interrupts(), 1);
    EXPECT_NE(rig->registers().config_generation(), generation);
}

TEST_P(ConsoleTest, SizeBeforeADriverIsThereWhenItComes) {
    add_port({.console = true});
    make({.kind = GetParam()});
    console->set_size(0, 80, 25);
    ASSERT_TRUE(rig->start());
    EXPECT_EQ(rig->config<std::uint32_t>(0), 80u | 25u << 16);
}

TEST_P(ConsoleTest, EmergencyByteGoesOutBeforeAnyDriver) {
    make({.kind = GetParam()});
    rig->write_config<std::uint32_t>(8, 'h');
    rig->write_config<std::uint16_t>(8, 'e');
    rig->write_config<std::uint8_t>(8, 'y');
    EXPECT_EQ(seen(), "hey");
}

TEST_P(ConsoleTest, EmergencyByteWithoutRoomIsLostAndCounted) {
    start();
    set_room(0);
    rig->write_config<std::uint32_t>(8, 'x');
    make_room(10);
    rig->write_config<std::uint32_t>(8, 'y');
    EXPECT_EQ(seen(), "y");
    EXPECT_EQ(sinks[0].lost, 1u);
}

TEST_P(ConsoleTest, ResetForgetsWhatWaitedForRoom) {
    start();
    set_room(2);
    add_output("old text");
    rig->kick(1);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return seen() == "ol"; }));

    ASSERT_TRUE(rig->reset());
    ASSERT_TRUE(rig->start());
    const auto id = add_output("new");
    rig->kick(1);
    make_room(100);

    EXPECT_EQ(rig->wait_used(1), (UsedBuffer{id, 0}));
    EXPECT_EQ(seen(), "olnew");
}

TEST_P(ConsoleTest, QueueResetForgetsWhatWaitedForRoom) {
    start();
    set_room(2);
    add_output("old text");
    rig->kick(1);
    ASSERT_TRUE(DeviceRig::wait_until([&] { return seen() == "ol"; }));

    ASSERT_TRUE(rig->reset_queue(1));
    rig->set_up_queue(1);
    make_room(100);

    EXPECT_TRUE(print("new"));
    EXPECT_EQ(seen(), "olnew");
}

TEST_P(ConsoleTest, InputGoesOnAfterReset) {
    start();
    EXPECT_TRUE(DeviceRig::wait_until([&] { return type("x") == 0; }));
    ASSERT_TRUE(rig->reset());
    EXPECT_EQ(type("x"), 0u);
    ASSERT_TRUE(rig->start());
    add_input_buffers(1, 8);
    EXPECT_TRUE(DeviceRig::wait_until([&] { return resumed() > 0; }));
    EXPECT_EQ(type("x"), 1u);
    EXPECT_EQ(input(), "x");
}

// Everything at once, for ThreadSanitizer and for order: what goes in comes out.
TEST_P(ConsoleTest, BothWaysAtOnceLoseNothing) {
    start();
    std::string typed(20'000, '\0');
    for (std::size_t i = 0; i < typed.size(); ++i)
        typed[i] = static_cast<char>('a' + i % 26);
    std::thread host{[&] {
        std::string_view rest = typed;
        while (!rest.empty()) {
            rest.remove_prefix(type(rest.substr(0, 100)));
            make_room(1000);
            console->set_size(0, static_cast<std::uint16_t>(rest.size()), 1);
        }
    }};
    std::string printed;
    std::string got;
    while (got.size() < typed.size()) {
        add_input_buffers(1, 64);
        const std::string text = "line " + std::to_string(got.size()) + '\n';
        ASSERT_TRUE(print(text));
        printed += text;
        const auto more = input();
        ASSERT_TRUE(more.has_value());
        got += more.value_or("");
    }
    host.join();
    EXPECT_EQ(got, typed);
    EXPECT_EQ(seen(), printed);
}

}  // namespace
}  // namespace vmm::test
