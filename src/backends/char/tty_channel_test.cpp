// SPDX-License-Identifier: Apache-2.0
#include "backends/char/tty_channel.hpp"

#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "backends/char/char_test_support.hpp"
#include "vmm/last_step.hpp"
#include "vmm/signals.hpp"
#include "vmm/standard_fds.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

struct TtyBackendTest : test::BackendTest {
    test::Pipe in;
    test::Pipe out;
    test::Terminal terminal;
};

// ---- output

TEST_F(TtyBackendTest, FirstByteAfterAPauseNeedsNoLoop) {
    make_tty(in.in.get(), out.out.get());

    send("P");

    EXPECT_EQ(test::read_all(out.in.get(), 100ms), "P");
}

TEST_F(TtyBackendTest, FirstByteReachesATerminalWithoutTheLoop) {
    make_tty(terminal.program.get(), terminal.program.get());

    send("P");

    EXPECT_EQ(test::read_all(terminal.person.get(), 100ms), "P");
}

TEST_F(TtyBackendTest, LinesNeedNoLoop) {
    make_tty(in.in.get(), out.out.get());

    for (const char byte : std::string_view{"one\ntwo\nthree"})
        send({&byte, 1});

    EXPECT_EQ(test::read_all(out.in.get(), 100ms), "one\ntwo\n");
    turn();
    EXPECT_EQ(test::read_all(out.in.get(), 100ms), "three");
}

TEST_F(TtyBackendTest, BytesThatFollowAreWrittenTogether) {
    std::array<int, 2> ends{};  // each write is a message of its own
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    const UniqueFd ours{ends[0]};
    const UniqueFd theirs{ends[1]};
    make_tty(in.in.get(), theirs.get());
    for (int i = 0; i < 10'000; ++i)
        send("x");
    turn();

    std::string piece(65536, 0);
    std::size_t bytes = 0;
    int messages = 0;
    for (ssize_t now = 0; (now = ::recv(ours.get(), piece.data(), piece.size(), MSG_DONTWAIT)) > 0;
         ++messages)
        bytes += static_cast<std::size_t>(now);
    EXPECT_EQ(bytes, 10'000u);
    EXPECT_LT(messages, 500);  // 2 on a machine that has nothing else to do
}

TEST_F(TtyBackendTest, InheritedDescriptorsKeepTheirFlags) {
    const int before_in = ::fcntl(in.in.get(), F_GETFL);
    const int before_out = ::fcntl(out.out.get(), F_GETFL);
    make_tty(in.in.get(), out.out.get());
    attach();
    send("text");
    turn();

    EXPECT_EQ(::fcntl(in.in.get(), F_GETFL), before_in);
    EXPECT_EQ(::fcntl(out.out.get(), F_GETFL), before_out);
}

TEST_F(TtyBackendTest, OutputToAFileGoesBehindWhatIsThere) {
    const std::string path = folder + "/log";
    const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    test::write_text(file.get(), "shell\n");
    make_tty(in.in.get(), file.get());
    send("guest\n");

    EXPECT_EQ(backend->drain(1s), LostOutput{});
    std::ostringstream text;
    text << std::ifstream{path}.rdbuf();
    EXPECT_EQ(text.str(), "shell\nguest\n");
}

TEST_F(TtyBackendTest, OutputToASocketNeedsNoFlags) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const UniqueFd ours{ends[0]};
    const UniqueFd theirs{ends[1]};
    make_tty(in.in.get(), theirs.get());
    send("journal");
    turn();

    EXPECT_EQ(test::read_all(ours.get(), 50ms), "journal");
    EXPECT_EQ(::fcntl(theirs.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(TtyBackendTest, ClosedPipeLosesOutputAndTheGuestGoesOn) {
    make_tty(in.in.get(), out.out.get());
    attach();
    out.in = UniqueFd{};
    EXPECT_EQ(send("x"), 1u);
    turn();

    EXPECT_EQ(send(std::string(2 * CharBackend::kBufferSize, 'x')), 2 * CharBackend::kBufferSize);
    EXPECT_EQ(backend->drain(1s),
              (LostOutput{.unwritten = 1 + 2 * CharBackend::kBufferSize, .error = EPIPE}));
    EXPECT_LE(turns(50ms), 10u);
}

TEST_F(TtyBackendTest, OutputThatCannotBeWrittenLosesOutputAndTheGuestGoesOn) {
    make_tty(in.in.get(), in.in.get());
    attach();
    send("x");
    turn();

    EXPECT_EQ(send(std::string(100'000, 'x')), 100'000u);
    EXPECT_EQ(send("x"), 1u);
}

TEST_F(TtyBackendTest, ClosedStandardStreamsLoseOutputAndTheGuestGoesOn) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(0);
        ::close(1);
        open_standard_fds();
        make(CharMode::Tty);
        attach();
        turn();
        ::_exit(send(std::string(100'000, 'x')) == 65536 && turns(50ms) < 5 && send("x") == 1 ? 0
                                                                                              : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);

    EXPECT_EQ(status, 0);
}

TEST_F(TtyBackendTest, ReaderThatSleepsFillsTheBufferThenOnRoomComes) {
    make_tty(in.in.get(), out.out.get());
    attach();
    std::size_t taken = 0;
    while (const std::size_t now = send(std::string(4096, 'x'))) {
        taken += now;
        turn(2ms);
    }
    EXPECT_EQ(taken, 65536 + CharBackend::kBufferSize);  // a pipe's room and ours
    EXPECT_LE(turns(50ms), 10u);

    test::read_all(out.in.get(), 20ms);

    EXPECT_TRUE(turn_until([&] { return user.rooms == 1; }));
}

TEST_F(TtyBackendTest, SlowReaderIsAReader) {
    make_tty(in.in.get(), out.out.get());
    attach();
    while (send(std::string(4096, 'x')) > 0)
        turn(2ms);

    // Far less than is worth telling at once, and then nothing more.
    std::array<char, 4096> some{};
    ASSERT_EQ(::read(out.in.get(), some.data(), some.size()), 4096);

    EXPECT_TRUE(turn_until([&] { return user.rooms == 1; }));
    EXPECT_LE(turns(50ms), 10u);
}

TEST_F(TtyBackendTest, RoomIsToldToWhoeverWroteAllThatWasTakenHimself) {
    make_tty(in.in.get(), out.out.get());
    attach();
    // As much as fits goes out at once, because it looks like a line.
    std::string text(CharBackend::kBufferSize, 'x');
    text.back() = '\n';
    text += "more\n";
    ASSERT_EQ(send(text), CharBackend::kBufferSize);

    EXPECT_TRUE(turn_until([&] { return user.rooms == 1; }));
}

TEST_F(TtyBackendTest, DrainStopsAfterItsTimeAndCountsWhatWasLost) {
    make_tty(in.in.get(), out.out.get());
    while (send(std::string(4096, 'x')) > 0)
        turn(2ms);
    const auto start = std::chrono::steady_clock::now();

    EXPECT_EQ(unread(100ms), CharBackend::kBufferSize);
    EXPECT_GE(std::chrono::steady_clock::now() - start, 99ms);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
}

// ---- input that is not a terminal

TEST_F(TtyBackendTest, PipeIsReadAndCtrlAIsJustAByte) {
    make_tty(in.in.get(), out.out.get());
    attach();
    test::write_text(in.out.get(), "a\x01x");

    EXPECT_TRUE(turn_until([&] { return user.seen == "a\x01x"; }));
    EXPECT_EQ(events.quits, 0u);
}

TEST_F(TtyBackendTest, EndOfAPipeIsNotTheEndAndDoesNotSpin) {
    make_tty(in.in.get(), out.out.get());
    attach();
    test::write_text(in.out.get(), "last");
    in.out = UniqueFd{};
    EXPECT_TRUE(turn_until([&] { return user.seen == "last"; }));
    turn();

    EXPECT_LE(turns(100ms), 10u);
    send("still here");
    turn();
    EXPECT_EQ(test::read_all(out.in.get(), 50ms), "still here");
}

TEST_F(TtyBackendTest, FileIsReadToItsEndInPieces) {
    const std::string path = folder + "/input";
    std::ofstream{path} << std::string(20'000, 'z');
    const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    make_tty(file.get(), out.out.get());
    user.room = 16;
    attach();
    turn();
    EXPECT_EQ(user.seen.size(), 16u);
    EXPECT_LE(turns(50ms), 10u);

    turn_until([&] {
        user.room = 1000;
        backend->resume_input();
        return user.seen.size() == 20'000;
    });

    EXPECT_TRUE(user.seen == std::string(20'000, 'z'));
    EXPECT_LE(turns(50ms), 10u);
}

TEST_F(TtyBackendTest, DevNullIsAnEmptyInput) {
    const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    make_tty(null.get(), out.out.get());
    attach();
    turn();

    EXPECT_LE(turns(50ms), 10u);
    EXPECT_EQ(user.seen, "");
}

TEST_F(TtyBackendTest, InputForWritingOnlyIsAnEmptyInput) {
    make_tty(out.out.get(), out.out.get());
    attach();
    turn();

    EXPECT_LE(turns(50ms), 10u);
    EXPECT_EQ(user.seen, "");
}

// ---- a terminal

/// The standard streams stay on the terminal for as long as this test runs.
struct TerminalBackendTest : TtyBackendTest {
    std::unique_ptr<test::StandardStreams> streams;

    void start() {
        streams =
            std::make_unique<test::StandardStreams>(terminal.program.get(), terminal.program.get());
        make(CharMode::Tty);
        attach();
    }
    void TearDown() override {
        backend.reset();
        streams.reset();
        TtyBackendTest::TearDown();
    }
};

TEST_F(TerminalBackendTest, IsRawFromAttachToDetach) {
    const termios before = terminal.modes();
    start();
    const bool raw = terminal.raw();
    const bool output_processed = (terminal.modes().c_oflag & OPOST) != 0;

    backend->detach();

    EXPECT_TRUE(raw);
    EXPECT_TRUE(output_processed);
    EXPECT_TRUE(test::same(terminal.modes(), before));
}

TEST_F(TerminalBackendTest, IsGivenBackByTheDestructor) {
    const termios before = terminal.modes();
    start();

    backend.reset();

    EXPECT_TRUE(test::same(terminal.modes(), before));
}

// A fault in another thread may end the process while this one is about to make it raw.
TEST_F(TerminalBackendTest, IsNotRawAgainOnceTheProcessEnds) {
    make_tty(terminal.program.get(), terminal.program.get());
    LastStep::run_all();
    attach();

    EXPECT_FALSE(terminal.raw());
}

TEST_F(TerminalBackendTest, KeysReachTheGuestAlsoCtrlC) {
    start();
    test::write_text(terminal.person.get(), "ls\x03\x1a\r");

    EXPECT_TRUE(turn_until([&] { return user.seen == "ls\x03\x1a\r"; }));
}

TEST_F(TerminalBackendTest, CtrlAXAsksToQuit) {
    start();
    test::write_text(terminal.person.get(), "a\x01xb");

    EXPECT_TRUE(turn_until([&] { return events.quits == 1; }));
    EXPECT_EQ(user.seen, "a");
}

TEST_F(TerminalBackendTest, CtrlAXWorksWhenTheGuestTakesNoInput) {
    start();
    user.room = 0;
    test::write_text(terminal.person.get(), "hello?");
    turn();
    test::write_text(terminal.person.get(), "\x01x");

    EXPECT_TRUE(turn_until([&] { return events.quits == 1; }));
}

TEST_F(TerminalBackendTest, CtrlAXWorksBehindMoreThanWaitsForTheGuest) {
    start();
    user.room = 0;
    for (int i = 0; i < 6; ++i) {
        test::write_text(terminal.person.get(), std::string(1000, 'a'));
        turn();
    }
    EXPECT_LE(turns(50ms), 10u);
    test::write_text(terminal.person.get(), "\x01x");

    EXPECT_TRUE(turn_until([&] {
        backend->resume_input();  // though it has no room
        return events.quits == 1;
    }));
    user.room = 10'000;
    backend->resume_input();
    EXPECT_TRUE(turn_until([&] { return user.seen == std::string(4096, 'a'); }));
}

TEST_F(TerminalBackendTest, AGuestThatTakesItsInputSlowlyGetsAllOfIt) {
    start();
    user.room = 0;
    for (int i = 0; i < 6; ++i)
        test::write_text(terminal.person.get(), std::string(1000, 'a'));
    for (int i = 0; i < 30; ++i) {
        user.room = 1;
        backend->resume_input();
        turn(50ms);
    }
    user.room = 10'000;
    backend->resume_input();

    EXPECT_TRUE(turn_until([&] { return user.seen == std::string(6000, 'a'); }));
}

TEST_F(TerminalBackendTest, CtrlAHShowsHelp) {
    start();
    test::write_text(terminal.person.get(), "\x01h");
    turn();

    EXPECT_THAT(test::read_all(terminal.person.get(), 50ms),
                HasSubstr("Ctrl-A x       end the guest at once"));
    EXPECT_EQ(user.seen, "");
}

TEST_F(TerminalBackendTest, HelpGoesToWhereTheKeysAreAndNotIntoALog) {
    streams = std::make_unique<test::StandardStreams>(terminal.program.get(), out.out.get());
    make(CharMode::Tty);
    attach();
    test::write_text(terminal.person.get(), "\x01h");
    send("guest\n");
    turn();

    EXPECT_THAT(test::read_all(terminal.person.get(), 50ms), HasSubstr("end the guest at once"));
    EXPECT_EQ(test::read_all(out.in.get(), 50ms), "guest\n");
}

TEST_F(TerminalBackendTest, CtrlADAsksForTheSizesOfTheDisks) {
    start();
    test::write_text(terminal.person.get(),
                     "a\x01"
                     "db");

    EXPECT_TRUE(turn_until([&] { return user.seen == "ab"; }));
    EXPECT_EQ(events.disk_sizes, 1u);
    EXPECT_EQ(events.quits, 0u);
}

TEST_F(TerminalBackendTest, CtrlATwiceSendsOne) {
    start();
    test::write_text(terminal.person.get(), "\x01\x01");

    EXPECT_TRUE(turn_until([&] { return user.seen == "\x01"; }));
}

TEST_F(TerminalBackendTest, ResizeIsReported) {
    start();
    const winsize size{.ws_row = 50, .ws_col = 132, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(terminal.person.get(), TIOCSWINSZ, &size), 0);
    ::raise(SIGWINCH);  // the terminal is not our controlling one

    EXPECT_TRUE(turn_until([&] { return !events.sizes.empty(); }));
    EXPECT_THAT(events.sizes, ElementsAre(TerminalSize{.columns = 132, .rows = 50}));
    EXPECT_EQ(backend->terminal_size(), (TerminalSize{.columns = 132, .rows = 50}));
}

TEST_F(TerminalBackendTest, SecondConsoleOnTheTerminalIsRefused) {
    start();

    auto second = make_char_backend(loop, {.mode = CharMode::Tty, .name = "console"}, events);

    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().kind(), ErrorKind::Config);
    EXPECT_THAT(second.error().report(),
                HasSubstr("connect console to the terminal: another console uses the terminal "
                          "already"));
}

TEST_F(TerminalBackendTest, HangUpEndsInputWithoutSpinning) {
    start();
    terminal.person = UniqueFd{};
    turn();

    EXPECT_LE(turns(50ms), 10u);
    EXPECT_EQ(send("x"), 1u);
}

// ---- ends of a process

/// A child process with the terminal as its controlling one runs a backend, says "ready" over it,
/// and does what it is told.
struct TerminalOfAChildTest : testing::Test {
    test::Terminal terminal;
    termios before = terminal.modes();
    pid_t child = -1;

    template <class Body>
    void start(Body body) {
        child = ::fork();
        if (child != 0)
            return;
        take_terminal();
        run(body);
    }
    void take_terminal() {
        ::setsid();
        ::dup2(terminal.program.get(), 0);
        ::dup2(terminal.program.get(), 1);
        ::ioctl(0, TIOCSCTTY, 0);
        terminal.person = UniqueFd{};
    }
    template <class Body>
    [[noreturn]] void run(Body body) {
        own_signals();
        boost::asio::io_context loop;
        test::RecordingBackendEvents events;
        test::RecordingUser user;
        auto made = make_char_backend(loop, {}, events);
        if (!made)
            ::_exit(99);
        (*made)->attach(user, user.lock);
        [[maybe_unused]] const auto taken =
            (*made)->write(std::as_bytes(std::span{std::string_view{"ready"}}));
        body(loop);
        ::exit(7);  // NOLINT(concurrency-mt-unsafe)
    }
    bool ready() const {
        const bool said = test::read_all(terminal.person.get(), 5000ms, 5) == "ready";
        // ThreadSanitizer keeps a signal back that comes before the child waits in its loop.
        ::usleep(200'000);
        return said && terminal.raw();
    }
    int wait() const {
        int status = -1;
        ::waitpid(child, &status, 0);
        return status;
    }
    static void forever(boost::asio::io_context& loop) { loop.run_for(10s); }
};

TEST_F(TerminalOfAChildTest, SigtermGivesTheTerminalBack) {
    start(forever);
    ASSERT_TRUE(ready());
    ::kill(child, SIGTERM);
    const int status = wait();

    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM) << status;
    EXPECT_TRUE(test::same(terminal.modes(), before));
}

TEST_F(TerminalOfAChildTest, SighupGivesTheTerminalBack) {
    start(forever);
    ASSERT_TRUE(ready());
    ::kill(child, SIGHUP);
    wait();

    EXPECT_TRUE(test::same(terminal.modes(), before));
}

TEST_F(TerminalOfAChildTest, AbortGivesTheTerminalBack) {
    start([](auto&) { ::abort(); });
    wait();

    EXPECT_TRUE(test::same(terminal.modes(), before));
}

TEST_F(TerminalOfAChildTest, ExitWithoutCleaningUpGivesTheTerminalBack) {
    start([](auto&) { ::exit(3); });  // NOLINT(concurrency-mt-unsafe)
    const int status = wait();

    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << status;
    EXPECT_TRUE(test::same(terminal.modes(), before));
}

// As after "vmm ... &" and "fg": the shell sends no SIGCONT to a job that runs.
TEST_F(TerminalOfAChildTest, BecomesRawWhenItComesToTheForegroundWithoutASignal) {
    test::Pipe go;
    child = ::fork();
    if (child == 0) {  // the shell
        take_terminal();
        const pid_t job = ::fork();
        if (job == 0) {
            ::setpgid(0, 0);
            run(forever);
        }
        test::read_all(go.in.get(), 10s, 1);
        ::tcsetpgrp(0, job);
        ::waitpid(job, nullptr, 0);
        ::_exit(0);
    }
    ASSERT_EQ(test::read_all(terminal.person.get(), 5000ms, 5), "ready");
    EXPECT_FALSE(terminal.raw());
    test::write_text(go.out.get(), "!");

    for (int i = 0; i < 500 && !terminal.raw(); ++i)
        ::usleep(10'000);
    EXPECT_TRUE(terminal.raw());
    terminal.person = UniqueFd{};  // which ends both
    wait();
}

TEST_F(TerminalOfAChildTest, StopGivesTheTerminalBackAndContinueTakesIt) {
    start(forever);
    ASSERT_TRUE(ready());

    ::kill(child, SIGTSTP);
    int status = 0;
    ::waitpid(child, &status, WUNTRACED);
    EXPECT_TRUE(WIFSTOPPED(status)) << status;
    EXPECT_TRUE(test::same(terminal.modes(), before));

    ::kill(child, SIGCONT);
    for (int i = 0; i < 500 && !terminal.raw(); ++i)
        ::usleep(10'000);
    EXPECT_TRUE(terminal.raw());
    ::kill(child, SIGTERM);
    wait();
    EXPECT_TRUE(test::same(terminal.modes(), before));
}

}  // namespace
}  // namespace vmm
