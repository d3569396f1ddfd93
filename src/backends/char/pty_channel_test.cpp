// SPDX-License-Identifier: Apache-2.0
#include "backends/char/pty_channel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <thread>

#include "backends/char/char_test_support.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;
using test::kBuffer;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// ---- pty

struct PtyBackendTest : test::BackendTest {
    UniqueFd open_client() {
        return UniqueFd{::open(backend->place().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)};
    }
};

TEST_F(PtyBackendTest, PlaceIsItsName) {
    make(CharMode::Pty);

    EXPECT_THAT(backend->place(), StartsWith("/dev/pts/"));
}

TEST_F(PtyBackendTest, BytesGoBothWays) {
    make(CharMode::Pty);
    attach();
    const UniqueFd client = open_client();
    send("login: ");
    turn();
    test::write_text(client.get(), "root\r");

    EXPECT_TRUE(turn_until([&] { return user.seen == "root\r"; }));
    EXPECT_EQ(test::read_all(client.get()), "login: ");
}

TEST_F(PtyBackendTest, ClientsComeAndGo) {
    make(CharMode::Pty);
    attach();
    send("before ");
    turn();
    {
        const UniqueFd first = open_client();
        EXPECT_EQ(test::read_all(first.get()), "before ");
    }
    turn();
    send("between ");
    turn();
    const UniqueFd second = open_client();
    test::write_text(second.get(), "hi");

    EXPECT_EQ(test::read_all(second.get()), "between ");
    EXPECT_TRUE(turn_until([&] { return user.seen == "hi"; }));
}

TEST_F(PtyBackendTest, WithoutAReaderTheBufferFillsAndLaterEmpties) {
    make(CharMode::Pty);
    attach();
    std::string sent;
    for (int i = 0; sent.size() < 4 * kBuffer; ++i) {
        const std::string line = "line " + std::to_string(i) + "\n";
        const std::size_t taken = send(line);
        sent += line.substr(0, taken);
        if (taken < line.size())
            break;
        if (i % 50 == 0)
            turn(1ms);
    }
    ASSERT_GE(sent.size(), kBuffer);
    ASSERT_LT(sent.size(), 4 * kBuffer);
    EXPECT_EQ(send("x"), 0u);
    EXPECT_LE(turns(100ms), 10u);  // nothing spins while nobody reads

    const UniqueFd client = open_client();
    std::string seen;
    turn_until([&] {
        seen += test::read_all(client.get(), 1ms);
        return seen.size() >= sent.size();
    });

    EXPECT_EQ(seen, sent);
    EXPECT_GE(user.rooms, 1u);
}

TEST_F(PtyBackendTest, DrainGivesUpAndSaysWhatWasLost) {
    make(CharMode::Pty);
    send("never read");
    const auto start = std::chrono::steady_clock::now();

    EXPECT_EQ(unread(100ms), 10u);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST_F(PtyBackendTest, DrainWaitsForTheReader) {
    make(CharMode::Pty);
    const UniqueFd client = open_client();
    send("read in time");
    std::string seen;
    std::thread reader{[&] { seen = test::read_all(client.get(), 500ms, 12); }};

    EXPECT_EQ(backend->drain(5s), LostOutput{});
    reader.join();
    EXPECT_EQ(seen, "read in time");
}

TEST_F(PtyBackendTest, PushSaysWhenAllWasRead) {
    make(CharMode::Pty);
    EXPECT_TRUE(backend->push());
    const UniqueFd client = open_client();
    send("read");
    EXPECT_TRUE(backend->has_reader());
    EXPECT_FALSE(backend->push());

    EXPECT_EQ(test::read_all(client.get(), 500ms, 4), "read");
    EXPECT_TRUE(backend->push());
    EXPECT_EQ(backend->drain(0ms), LostOutput{});
}

TEST_F(PtyBackendTest, SizeIsWhatTheClientSet) {
    make(CharMode::Pty);
    EXPECT_EQ(backend->terminal_size(), std::nullopt);
    const UniqueFd client = open_client();
    const winsize size{.ws_row = 40, .ws_col = 120, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(client.get(), TIOCSWINSZ, &size), 0);

    EXPECT_EQ(backend->terminal_size(), (TerminalSize{.columns = 120, .rows = 40}));
}

// ---- a link to a pty

struct PtyLinkTest : test::BackendTest {
    std::string link() const { return folder + "/tty"; }
    std::string target() const {
        std::array<char, 4096> text{};
        const auto size = ::readlink(link().c_str(), text.data(), text.size());
        return size < 0 ? "none" : std::string{text.data(), static_cast<std::size_t>(size)};
    }
    void leave_link(const std::string& to) const {
        ASSERT_EQ(::symlink(to.c_str(), link().c_str()), 0);
    }
};

TEST_F(PtyLinkTest, LeadsToThePtyUntilTheEnd) {
    make(CharMode::Pty, link());
    EXPECT_EQ(target(), backend->place());
    attach();
    const UniqueFd client{::open(link().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)};
    test::write_text(client.get(), "root\r");
    EXPECT_TRUE(turn_until([&] { return user.seen == "root\r"; }));

    backend.reset();

    EXPECT_EQ(target(), "none");
}

TEST_F(PtyLinkTest, LinkThatAnEndedMachineLeftIsReplaced) {
    leave_link("/dev/pts/999999");
    make(CharMode::Pty, link());

    EXPECT_EQ(target(), backend->place());
}

TEST_F(PtyLinkTest, LinkToATerminalThatIsSomebodyElsesByNowIsReplaced) {
    const test::Terminal other;
    leave_link(::ttyname(other.program.get()));
    make(CharMode::Pty, link());

    EXPECT_EQ(target(), backend->place());
}

TEST_F(PtyLinkTest, LinkOfAMachineThatRunsIsNotTaken) {
    make(CharMode::Pty, link());
    const auto place = backend->place();

    EXPECT_THAT(error_of(CharMode::Pty, link()),
                AllOf(HasSubstr("make a pty for serial: link " + link() + " to /dev/pts/"),
                      HasSubstr("File exists"),
                      HasSubstr("It leads to " + place +
                                ", the terminal of a machine that runs: name another path.")));
    EXPECT_EQ(target(), place);
}

TEST_F(PtyLinkTest, OtherFilesAndLinksAreNotTaken) {
    std::ofstream{link()} << "precious";
    EXPECT_THAT(error_of(CharMode::Pty, link()),
                HasSubstr("The path is not a symbolic link: name one that does not exist."));
    EXPECT_EQ(test::content(link()), "precious");

    ASSERT_EQ(::unlink(link().c_str()), 0);
    leave_link("/etc/passwd");
    EXPECT_THAT(error_of(CharMode::Pty, link()),
                HasSubstr("The path is a symbolic link to /etc/passwd, which no machine has made: "
                          "name another path, or remove it."));
    EXPECT_EQ(target(), "/etc/passwd");
}

TEST_F(PtyLinkTest, ErrorWhenTheFolderIsMissing) {
    EXPECT_THAT(error_of(CharMode::Pty, folder + "/none/tty"),
                AllOf(HasSubstr("link " + folder + "/none/tty to /dev/pts/"),
                      HasSubstr("No such file or directory"),
                      HasSubstr("Name a path in a directory that you may write to.")));
}

TEST_F(PtyLinkTest, LinkThatSomebodyHasReplacedStays) {
    make(CharMode::Pty, link());
    ASSERT_EQ(::unlink(link().c_str()), 0);
    leave_link("/dev/null");

    backend.reset();

    EXPECT_EQ(target(), "/dev/null");
}

}  // namespace
}  // namespace vmm
