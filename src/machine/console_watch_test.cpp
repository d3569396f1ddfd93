// SPDX-License-Identifier: Apache-2.0
#include "machine/console_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::machine {
namespace {

struct Sink final : ByteSink {
    std::size_t room = 1 << 20;
    std::string got;
    std::size_t write(std::span<const std::byte> bytes) noexcept override {
        const auto size = std::min(room, bytes.size());
        got.append(reinterpret_cast<const char*>(bytes.data()), size);
        return size;
    }
    void count_lost(std::size_t) noexcept override {}
    void resume_input() noexcept override {}
};

struct ConsoleWatchTest : testing::Test {
    std::size_t write(std::string_view text) { return watch.write(std::as_bytes(std::span{text})); }
    Sink sink;
    ConsoleWatch watch{sink};
};

TEST_F(ConsoleWatchTest, PanicLineIsKeptWithoutItsTimeStamp) {
    write(
        "[    0.5] Kernel panic - not syncing: sysrq triggered crash\r\n[    0.6] CPU: 0 PID: "
        "1\r\n");

    EXPECT_EQ(watch.last_panic(), "Kernel panic - not syncing: sysrq triggered crash");
}

TEST_F(ConsoleWatchTest, OnlyPrintableAsciiIsKept) {
    std::string line = "Kernel panic - ";
    for (unsigned byte = 0; byte < 256; ++byte)
        if (byte != '\n')
            line.push_back(static_cast<char>(byte));
    line +=
        "\xc2\x9b"
        "2J\xc2\x9d"
        "0;title\xc2\x9c\n";  // U+009B, U+009D, U+009C
    write(line);

    std::string printable = "Kernel panic - ";
    for (char c = ' '; c <= '~'; ++c)
        printable.push_back(c);
    EXPECT_EQ(watch.last_panic(), printable + "2J0;title");
}

TEST_F(ConsoleWatchTest, EndMarkerDoesNotReplaceThePanicLine) {
    write("Kernel panic - not syncing: VFS\n---[ end Kernel panic - not syncing: VFS ]---\n");

    EXPECT_EQ(watch.last_panic(), "Kernel panic - not syncing: VFS");
}

TEST_F(ConsoleWatchTest, LineWithoutEndKeepsMemoryBounded) {
    write("Kernel panic - " + std::string(100'000, 'x') + "\n");

    EXPECT_EQ(watch.last_panic().size(), 240u);
}

TEST_F(ConsoleWatchTest, ByteThatWasNotTakenIsNotSeenTwice) {
    sink.room = 3;

    EXPECT_EQ(write("Kernel"), 3u);
    sink.room = 100;
    write("nel panic - x\n");

    EXPECT_EQ(watch.last_panic(), "Kernel panic - x");
    EXPECT_EQ(sink.got, "Kernel panic - x\n");
}

TEST_F(ConsoleWatchTest, OrdinaryOutputLeavesNothing) {
    write("Linux version 6.12\nlogin: ");

    EXPECT_EQ(watch.last_panic(), "");
}

}  // namespace
}  // namespace vmm::machine
