// SPDX-License-Identifier: Apache-2.0
// The host's side of a serial port or console: terminal, file, pty, socket or nothing.
//
// Output goes into a buffer of kBufferSize bytes and from there to the host by the machine's loop,
// in few system calls; the first byte after a pause is written at once by the thread that sent it
// where that cannot block. When nobody reads, the buffer fills and write() takes less; once that
// has lasted for `patience`, what comes is dropped and counted until somebody reads. Whoever waits
// for its console (Linux does, with a lock held and interrupts off) thus waits for a second and not
// for ever, and a reader that is slow holds the guest back without a loss.
// Threads: write() and resume_input() from any, as ByteSink says, one at a time (under the device's
//   lock); everything else from the thread of the loop, which must not be inside a device.
// Not here: line discipline, telnet, TLS, break.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "vmm/byte_channel.hpp"
#include "vmm/error.hpp"
#include "vmm/mutex.hpp"

namespace boost::asio {
class io_context;  // NOLINT(readability-identifier-naming): Asio's
}

namespace vmm {

enum class CharMode : std::uint8_t {
    Tty,     ///< standard input and output, whatever they are
    File,    ///< output only; the file is created, and emptied by attach(), unless its name means
             ///< a descriptor that is open already (/dev/stdout)
    Pty,     ///< a pseudo-terminal of our own; place() is its name
    Socket,  ///< a Unix stream socket for one client at a time, the newest
    Null,    ///< output disappears, input never comes
};

struct CharBackendConfig {
    CharMode mode = CharMode::Tty;
    std::string path;             ///< of File and Socket; of Pty: a symbolic link to it, or nothing
    std::string name = "serial";  ///< whose it is, for messages
    /// How long output waits for somebody who reads before it is dropped.
    std::chrono::milliseconds patience{1000};
};

/// Output that never reached anybody. Bytes, those left out that a log record has told.
struct LostOutput {
    std::uint64_t unread = 0;     ///< nobody took them
    std::uint64_t unwritten = 0;  ///< the host did not
    int error = 0;                ///< why it did not: errno

    bool operator==(const LostOutput&) const = default;
};

struct TerminalSize {
    std::uint16_t columns = 0;
    std::uint16_t rows = 0;

    bool operator==(const TerminalSize&) const = default;
};

/// What the user at the other end does beside sending bytes. Called from the machine's loop.
class CharBackendEvents {
public:
    virtual ~CharBackendEvents() = default;

    virtual void quit_requested() noexcept = 0;        ///< Ctrl-A x
    virtual void disk_sizes_requested() noexcept = 0;  ///< Ctrl-A d: look at them again
    virtual void terminal_resized(TerminalSize size) noexcept = 0;
};

/// Destroying it restores the terminal and removes the socket's file.
class CharBackend : public ByteSink {
public:
    static constexpr std::size_t kBufferSize = std::size_t{64} * 1024;  // bytes

    /// Starts input; a terminal becomes raw. `lock` is the device's (IoDevice::lock()), taken
    /// around each call of `user`. Both must live until detach() or the end of this.
    virtual void attach(ByteChannelUser& user, Mutex& lock) noexcept = 0;

    /// Ends input and calls to the user, and restores the terminal. Output still goes out.
    virtual void detach() noexcept = 0;

    /// Writes out what can be written at once; true if nothing is left that a reader has yet to
    /// take.
    virtual bool push() noexcept = 0;

    /// Output goes somewhere: waiting until push() is true makes sense.
    virtual bool has_reader() const noexcept = 0;

    /// Writes out what is buffered, for at most `limit`; for the end of the process, when no vCPU
    /// runs any more. Returns what was lost since the start.
    virtual LostOutput drain(std::chrono::milliseconds limit) noexcept = 0;

    /// Where a user finds it: "/dev/pts/3", the path of a file or socket, or nothing.
    virtual const std::string& place() const noexcept = 0;

    virtual std::optional<TerminalSize> terminal_size() const noexcept = 0;
};

/// Fails with ErrorKind::Os when the host refuses, with ErrorKind::Config when `config` cannot be
/// meant. `loop` and `events` must outlive the backend. Ignores SIGPIPE for the whole process.
Result<std::unique_ptr<CharBackend>> make_char_backend(boost::asio::io_context& loop,
                                                       const CharBackendConfig& config,
                                                       CharBackendEvents& events);

}  // namespace vmm
