// SPDX-License-Identifier: Apache-2.0
// What the tests of the character backends share: a user, a loop, pipes and pseudo-terminals.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>

#include "backends/char/char_backend.hpp"
#include "vmm/mutex.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::test {

using namespace std::chrono_literals;  // NOLINT(google-global-names-in-headers): of tests only

inline constexpr std::size_t kBuffer = CharBackend::kBufferSize;

struct RecordingUser final : ByteChannelUser {
    RankedMutex<LockRank::Device> lock;
    std::string seen;
    std::size_t room = std::numeric_limits<std::size_t>::max();
    unsigned rooms = 0;

    std::size_t receive(std::span<const std::byte> bytes) noexcept override {
        const std::size_t taken = std::min(room, bytes.size());
        for (const std::byte byte : bytes.first(taken))
            seen.push_back(static_cast<char>(byte));
        room -= taken;
        return taken;
    }
    void on_room() noexcept override { ++rooms; }
};

struct RecordingBackendEvents final : CharBackendEvents {
    unsigned quits = 0;
    unsigned disk_sizes = 0;
    std::vector<TerminalSize> sizes;

    void quit_requested() noexcept override { ++quits; }
    void disk_sizes_requested() noexcept override { ++disk_sizes; }
    void terminal_resized(TerminalSize size) noexcept override { sizes.push_back(size); }
};

/// Puts other files behind descriptors 0 and 1 and the old ones back.
class StandardStreams {
public:
    StandardStreams(int input, int output) {
        put(0, input, input_);
        put(1, output, output_);
    }
    StandardStreams(const StandardStreams&) = delete;
    StandardStreams& operator=(const StandardStreams&) = delete;
    ~StandardStreams() {
        ::dup2(input_.get(), 0);
        ::dup2(output_.get(), 1);
    }

private:
    static void put(int at, int fd, UniqueFd& old) {
        old = UniqueFd{::fcntl(at, F_DUPFD_CLOEXEC, 10)};
        ::dup2(fd, at);
    }
    UniqueFd input_;
    UniqueFd output_;
};

struct Pipe {
    UniqueFd in;   ///< where one reads
    UniqueFd out;  ///< where one writes

    Pipe() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        in = UniqueFd{ends[0]};
        out = UniqueFd{ends[1]};
    }
};

struct Terminal {
    UniqueFd person;   ///< the keyboard and the screen
    UniqueFd program;  ///< what the program has open

    Terminal() {
        int ours = -1;
        int theirs = -1;
        EXPECT_EQ(::openpty(&ours, &theirs, nullptr, nullptr, nullptr), 0);
        person = UniqueFd{ours};
        program = UniqueFd{theirs};
        ::fcntl(ours, F_SETFD, FD_CLOEXEC);
        ::fcntl(theirs, F_SETFD, FD_CLOEXEC);
    }
    termios modes() const {
        termios now{};
        EXPECT_EQ(::tcgetattr(program.get(), &now), 0);
        return now;
    }
    bool raw() const { return (modes().c_lflag & ICANON) == 0; }
};

/// Of a file.
inline std::string content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream{path}.rdbuf();
    return text.str();
}

inline bool same(const termios& a, const termios& b) {
    return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_cflag == b.c_cflag &&
           a.c_lflag == b.c_lflag && std::equal(a.c_cc, a.c_cc + NCCS, b.c_cc);
}

/// What can be read before `limit` passes without more; ends early at `enough` bytes.
inline std::string read_all(int fd, std::chrono::milliseconds limit = 200ms,
                            std::size_t enough = std::numeric_limits<std::size_t>::max()) {
    std::string text;
    std::array<char, 65536> piece{};
    pollfd asked{.fd = fd, .events = POLLIN, .revents = 0};
    while (text.size() < enough && ::poll(&asked, 1, static_cast<int>(limit.count())) == 1) {
        const ssize_t count = ::read(fd, piece.data(), piece.size());
        if (count <= 0)
            break;
        text.append(piece.data(), static_cast<std::size_t>(count));
    }
    return text;
}

inline void write_text(int fd, std::string_view text) {
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

inline bool connect(const UniqueFd& fd, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

inline UniqueFd connect_to(const std::string& path) {
    UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return connect(fd, path) ? std::move(fd) : UniqueFd{};
}

struct BackendTest : testing::Test {
    boost::asio::io_context loop;
    RecordingBackendEvents events;
    RecordingUser user;
    std::unique_ptr<CharBackend> backend;
    std::string folder;
    std::chrono::milliseconds patience =
        1h;  ///< of the next backend; by default none is at its end

    void SetUp() override {
        std::string name = testing::TempDir() + "backendXXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
    }
    void TearDown() override {
        backend.reset();
        ASSERT_EQ(::system(("rm -r " + folder).c_str()), 0);
    }

    /// Makes the backend; its standard streams are those of this moment.
    void make(CharMode mode, const std::string& path = "") {
        auto made =
            make_char_backend(loop, {.mode = mode, .path = path, .patience = patience}, events);
        ASSERT_TRUE(made.has_value()) << made.error().report();
        backend = *std::move(made);
    }
    std::string error_of(CharMode mode, const std::string& path) {
        auto made = make_char_backend(loop, {.mode = mode, .path = path}, events);
        return made ? "no error" : made.error().report();
    }
    void make_tty(int input, int output) {
        const StandardStreams streams{input, output};
        make(CharMode::Tty);
    }
    void attach() { backend->attach(user, user.lock); }

    /// Writes until no more is taken; how much that was.
    std::size_t fill() {
        std::size_t taken = 0;
        while (const std::size_t now = send(std::string(4096, 'x'))) {
            taken += now;
            turn(2ms);
        }
        return taken;
    }
    /// Output that nobody took, when that is all that was lost.
    std::uint64_t unread(std::chrono::milliseconds limit = 0ms) {
        const LostOutput lost = backend->drain(limit);
        EXPECT_EQ(lost.unwritten, 0u);
        EXPECT_EQ(lost.error, 0);
        return lost.unread;
    }

    std::size_t send(std::string_view text) {
        const std::lock_guard lock{user.lock};
        return backend->write(std::as_bytes(std::span{text}));
    }

    /// Turns the loop until it is so, for five seconds at most.
    template <class Condition>
    bool turn_until(Condition done) {
        for (const auto end = std::chrono::steady_clock::now() + 5s;
             !done() && std::chrono::steady_clock::now() < end;) {
            loop.restart();
            loop.run_for(5ms);
        }
        return done();
    }
    void turn(std::chrono::milliseconds time = 20ms) {
        loop.restart();
        loop.run_for(time);
    }
    /// Turns while the handlers have something to do; how many ran in that time.
    std::size_t turns(std::chrono::milliseconds time) {
        loop.restart();
        return loop.run_for(time);
    }
};

}  // namespace vmm::test
