#include "backends/char_backend.hpp"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "backends/backend_test_support.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::size_t kBuffer = CharBackend::kBufferSize;

std::string content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream{path}.rdbuf();
    return text.str();
}

// ---- null

struct NullBackendTest : test::BackendTest {};

TEST_F(NullBackendTest, TakesEverythingAndLosesNothing) {
    make(CharMode::Null);

    EXPECT_EQ(send(std::string(3 * kBuffer, 'x')), 3 * kBuffer);
    EXPECT_EQ(backend->drain(1s), 0u);
}

// ---- file

struct FileBackendTest : test::BackendTest {};

TEST_F(FileBackendTest, OutputReplacesTheFile) {
    const std::string path = folder + "/log";
    std::ofstream{path} << "old and longer text";
    make(CharMode::File, path);
    attach();
    send("hello ");
    send("world\n");

    EXPECT_TRUE(turn_until([&] { return content(path) == "hello world\n"; }));
    EXPECT_EQ(backend->place(), path);
}

TEST_F(FileBackendTest, MachineThatDoesNotStartLeavesTheFileAsItWas) {
    const std::string path = folder + "/log";
    std::ofstream{path} << "the last run";
    make(CharMode::File, path);
    EXPECT_EQ(content(path), "the last run");

    backend.reset();

    EXPECT_EQ(content(path), "the last run");
}

TEST_F(FileBackendTest, DrainWritesWhatTheLoopHadNoTimeFor) {
    const std::string path = folder + "/log";
    make(CharMode::File, path);
    send("last words");

    EXPECT_EQ(backend->drain(1s), 0u);
    EXPECT_EQ(content(path), "last words");
}

TEST_F(FileBackendTest, FullDiskLosesOutputAndNothingElse) {
    make(CharMode::File, "/dev/full");
    send("lost");
    turn();

    EXPECT_EQ(send("more"), 4u);
    EXPECT_EQ(backend->drain(1s), 8u);
}

TEST_F(FileBackendTest, ErrorNamesTheFolderThatIsMissing) {
    EXPECT_THAT(error_of(CharMode::File, folder + "/none/log"),
                AllOf(HasSubstr("open " + folder + "/none/log for the output of serial"),
                      HasSubstr("No such file or directory"),
                      HasSubstr("Name a file that you may create or write.")));
}

TEST_F(FileBackendTest, ErrorOnADirectory) {
    EXPECT_THAT(error_of(CharMode::File, folder), HasSubstr("Is a directory"));
}

TEST_F(FileBackendTest, ErrorIsTheHostsRefusal) {
    auto made = make_char_backend(loop, {.mode = CharMode::File, .path = folder}, events);

    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().kind(), ErrorKind::Os);
}

TEST_F(FileBackendTest, NamedPipeWithoutReaderIsAnErrorWithAdvice) {
    const std::string path = folder + "/fifo";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);

    EXPECT_THAT(error_of(CharMode::File, path),
                HasSubstr("If this is a named pipe, start its reader first."));
}

TEST_F(FileBackendTest, NamedPipeThatNobodyDrainsFillsTheBuffer) {
    const std::string path = folder + "/fifo";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const UniqueFd reader{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    make(CharMode::File, path);
    attach();

    std::size_t taken = 0;
    while (const std::size_t now = send(std::string(1000, 'x'))) {
        taken += now;
        turn(2ms);
    }
    EXPECT_GT(taken, kBuffer);
    EXPECT_LE(taken, 65536 + kBuffer);  // a pipe's room and ours
    EXPECT_EQ(user.rooms, 0u);

    EXPECT_EQ(test::read_all(reader.get(), 50ms).size(), taken - kBuffer);
    EXPECT_TRUE(turn_until([&] { return user.rooms == 1; }));
}

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

    EXPECT_EQ(backend->drain(100ms), 10u);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST_F(PtyBackendTest, DrainWaitsForTheReader) {
    make(CharMode::Pty);
    const UniqueFd client = open_client();
    send("read in time");
    std::string seen;
    std::thread reader{[&] { seen = test::read_all(client.get(), 500ms, 12); }};

    EXPECT_EQ(backend->drain(5s), 0u);
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
    EXPECT_EQ(backend->drain(0ms), 0u);
}

TEST_F(PtyBackendTest, SizeIsWhatTheClientSet) {
    make(CharMode::Pty);
    EXPECT_EQ(backend->terminal_size(), std::nullopt);
    const UniqueFd client = open_client();
    const winsize size{.ws_row = 40, .ws_col = 120, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(client.get(), TIOCSWINSZ, &size), 0);

    EXPECT_EQ(backend->terminal_size(), (TerminalSize{.columns = 120, .rows = 40}));
}

// ---- socket

struct SocketBackendTest : test::BackendTest {
    std::string path() const { return folder + "/sock"; }
};

TEST_F(SocketBackendTest, BytesGoBothWays) {
    make(CharMode::Socket, path());
    attach();
    const UniqueFd client = test::connect_to(path());
    turn();
    send("login: ");
    turn();
    test::write_text(client.get(), "root\r");

    EXPECT_TRUE(turn_until([&] { return user.seen == "root\r"; }));
    EXPECT_EQ(test::read_all(client.get()), "login: ");
}

TEST_F(SocketBackendTest, HasAReaderWhileAClientIsThere) {
    make(CharMode::Socket, path());
    attach();
    EXPECT_EQ(send("x"), 1u);
    EXPECT_FALSE(backend->push());
    EXPECT_FALSE(backend->has_reader());

    const UniqueFd client = test::connect_to(path());
    EXPECT_TRUE(turn_until([&] { return backend->has_reader(); }));
    EXPECT_TRUE(backend->push());
}

TEST_F(SocketBackendTest, OutputBeforeTheFirstClientWaitsForIt) {
    make(CharMode::Socket, path());
    attach();
    EXPECT_EQ(send(std::string(kBuffer + 1, 'x')), kBuffer);
    turn();
    EXPECT_EQ(user.rooms, 0u);

    const UniqueFd client = test::connect_to(path());
    std::string seen;
    turn_until([&] {
        seen += test::read_all(client.get(), 1ms);
        return seen.size() >= kBuffer;
    });

    EXPECT_EQ(seen, std::string(kBuffer, 'x'));
    EXPECT_EQ(user.rooms, 1u);
}

TEST_F(SocketBackendTest, SecondClientIsTurnedAwayAndComesAgainLater) {
    make(CharMode::Socket, path());
    attach();
    UniqueFd first = test::connect_to(path());
    turn();
    {
        const UniqueFd second = test::connect_to(path());
        turn();
        char byte = 0;
        EXPECT_EQ(::read(second.get(), &byte, 1), 0);  // closed by us
    }
    first = UniqueFd{};
    turn();
    const UniqueFd third = test::connect_to(path());
    turn();
    send("yours now");
    turn();

    EXPECT_EQ(test::read_all(third.get()), "yours now");
}

TEST_F(SocketBackendTest, HangUpOfTheClientBeforeLeavesTheNewOneAlone) {
    make(CharMode::Socket, path());
    attach();
    UniqueFd first = test::connect_to(path());
    turn();
    // Both before the loop looks.
    const UniqueFd second = test::connect_to(path());
    first = UniqueFd{};
    turn();
    send("yours");
    turn();

    EXPECT_EQ(test::read_all(second.get()), "yours");
}

TEST_F(SocketBackendTest, ClientThatOnlyClosedItsSendingHalfStillReads) {
    make(CharMode::Socket, path());
    attach();
    const UniqueFd client = test::connect_to(path());
    turn();
    test::write_text(client.get(), "go\n");
    ::shutdown(client.get(), SHUT_WR);
    turn();
    EXPECT_EQ(user.seen, "go\n");
    EXPECT_LE(turns(50ms), 10u);
    send("done");
    turn();

    EXPECT_EQ(test::read_all(client.get()), "done");
}

TEST_F(SocketBackendTest, ClientAfterOneThatClosedBothHalvesInTurnIsServed) {
    make(CharMode::Socket, path());
    attach();
    UniqueFd first = test::connect_to(path());
    turn();
    ::shutdown(first.get(), SHUT_WR);
    turn();
    first = UniqueFd{};
    turn();
    const UniqueFd second = test::connect_to(path());
    turn();
    send("hello");
    turn();

    EXPECT_EQ(test::read_all(second.get()), "hello");
}

TEST_F(SocketBackendTest, InputOfAClientThatLeftIsStillTaken) {
    make(CharMode::Socket, path());
    attach();
    user.room = 4;
    {
        const UniqueFd client = test::connect_to(path());
        test::write_text(client.get(), "poweroff\n");
    }
    turn();
    EXPECT_EQ(user.seen, "powe");
    EXPECT_LE(turns(50ms), 10u);

    user.room = 100;
    backend->resume_input();

    EXPECT_TRUE(turn_until([&] { return user.seen == "poweroff\n"; }));
}

TEST_F(SocketBackendTest, SlowUserHoldsBackTheClientWithoutSpinning) {
    make(CharMode::Socket, path());
    attach();
    user.room = 0;
    const UniqueFd client = test::connect_to(path());
    ::fcntl(client.get(), F_SETFL, O_NONBLOCK);
    const std::string much(10000, 'y');
    std::size_t sent = 0;
    for (ssize_t now = 0; (now = ::write(client.get(), much.data(), much.size())) > 0;)
        sent += static_cast<std::size_t>(now);
    turn();
    EXPECT_LE(turns(100ms), 10u);

    user.room = std::numeric_limits<std::size_t>::max();
    backend->resume_input();

    EXPECT_TRUE(turn_until([&] { return user.seen.size() == sent; }));
}

TEST_F(SocketBackendTest, FileIsPrivateAndRemovedAtTheEnd) {
    make(CharMode::Socket, path());
    struct stat what {};
    ASSERT_EQ(::lstat(path().c_str(), &what), 0);
    EXPECT_EQ(what.st_mode & 0777u, 0600u);

    backend.reset();

    EXPECT_NE(::lstat(path().c_str(), &what), 0);
}

TEST_F(SocketBackendTest, FileOfADeadProcessIsReplaced) {
    {
        const UniqueFd dead{::socket(AF_UNIX, SOCK_STREAM, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path().copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }

    make(CharMode::Socket, path());

    EXPECT_TRUE(test::connect_to(path()));
}

TEST_F(SocketBackendTest, ErrorWhenAnotherProcessListens) {
    make(CharMode::Socket, path());

    EXPECT_THAT(error_of(CharMode::Socket, path()),
                AllOf(HasSubstr("listen on " + path()), HasSubstr("Address already in use"),
                      HasSubstr("Another process listens there")));
    EXPECT_TRUE(test::connect_to(path()));
}

TEST_F(SocketBackendTest, ErrorWhenThePathIsAnotherFile) {
    std::ofstream{path()} << "precious";

    EXPECT_THAT(error_of(CharMode::Socket, path()),
                HasSubstr("The path is a file of another kind"));
    EXPECT_EQ(content(path()), "precious");
}

TEST_F(SocketBackendTest, ErrorWhenThePathIsTooLong) {
    auto made =
        make_char_backend(loop, {.mode = CharMode::Socket, .path = std::string(108, 'p')}, events);

    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().kind(), ErrorKind::Config);
    EXPECT_THAT(made.error().report(), AllOf(HasSubstr("1 to 107 characters, this one has 108"),
                                             HasSubstr("Name a shorter path")));
}

TEST_F(SocketBackendTest, ErrorWhenTheFolderIsMissing) {
    EXPECT_THAT(error_of(CharMode::Socket, folder + "/none/sock"),
                AllOf(HasSubstr("No such file or directory"),
                      HasSubstr("Name a path in a folder that you may write to.")));
}

// ---- threads: one sends, the loop writes, a third reads

struct BackendThreadsTest : test::BackendTest {};

/// A user that sends a count as fast as the backend takes it, like a serial port: it waits for
/// on_room() when the backend took less than all.
struct Sender final : ByteChannelUser {
    ByteSink* sink = nullptr;
    std::mutex lock;
    std::atomic<bool> room{true};

    std::size_t receive(std::span<const std::byte> bytes) noexcept override { return bytes.size(); }
    void on_room() noexcept override { room = true; }

    void run(std::string_view text) {
        while (!text.empty()) {
            while (!room)
                std::this_thread::yield();
            const std::lock_guard guard{lock};
            const auto piece = text.substr(0, std::min<std::size_t>(text.find('\n'), 6) + 1);
            const std::size_t taken = sink->write(std::as_bytes(std::span{piece}));
            if (taken < piece.size())
                room = false;
            text.remove_prefix(taken);
        }
    }
};

std::string numbers(std::size_t size) {
    std::string text;
    for (int i = 0; text.size() < size; ++i)
        text += std::to_string(i) + (i % 50 == 0 ? '\n' : ' ');
    return text;
}

TEST_F(BackendThreadsTest, SlowReaderOfAPipeGetsEveryByteInOrder) {
    test::Pipe pipe;
    test::Pipe input;
    make_tty(input.in.get(), pipe.out.get());
    pipe.out = UniqueFd{};
    Sender sender;
    sender.sink = backend.get();
    backend->attach(sender, sender.lock);
    const std::string text = numbers(300'000);
    std::atomic<bool> sent{false};
    std::string seen;

    std::thread vcpu{[&] {
        sender.run(text);
        sent = true;
    }};
    std::thread reader{[&] {
        while (seen.size() < text.size()) {
            seen += test::read_all(pipe.in.get(), 2000ms, 1);
            std::this_thread::sleep_for(1ms);
        }
    }};
    EXPECT_TRUE(turn_until([&] { return sent.load(); }));
    vcpu.join();
    EXPECT_EQ(backend->drain(5s), 0u);
    reader.join();

    EXPECT_EQ(seen, text);
}

// The I/O threads of devices still write when the machine ends.
TEST_F(BackendThreadsTest, DrainBesideAWriterLosesNoCount) {
    test::Pipe pipe;
    test::Pipe input;
    make_tty(input.in.get(), pipe.out.get());
    pipe.out = UniqueFd{};
    constexpr std::size_t kLines = 100'000;
    std::atomic<std::size_t> taken{0};
    std::atomic<bool> sent{false};
    std::size_t seen = 0;

    std::thread writer{[&] {
        for (std::size_t i = 0; i < kLines; ++i)
            taken += send("line\n");
        sent = true;
    }};
    std::thread reader{[&] { seen = test::read_all(pipe.in.get(), 5000ms).size(); }};
    while (!sent)
        backend->drain(0ms);
    writer.join();
    const std::uint64_t lost = backend->drain(5s);
    backend.reset();
    reader.join();

    EXPECT_EQ(seen + lost, taken.load());
}

TEST_F(BackendThreadsTest, ResumeFromAnotherThreadBringsTheRestOfTheInput) {
    test::Pipe output;
    test::Pipe input;
    make_tty(input.in.get(), output.out.get());
    user.room = 3;
    attach();
    test::write_text(input.out.get(), "abcdef");
    ASSERT_TRUE(turn_until([&] { return user.seen.size() == 3; }));

    std::thread vcpu{[&] {
        const std::lock_guard lock{user.lock};
        user.room = 3;
        backend->resume_input();
    }};

    EXPECT_TRUE(turn_until([&] {
        const std::lock_guard lock{user.lock};
        return user.seen == "abcdef";
    }));
    vcpu.join();
}

}  // namespace
}  // namespace vmm
