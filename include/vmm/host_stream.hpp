// SPDX-License-Identifier: Apache-2.0
// One end of a byte stream on the host that is read or written without ever waiting.
//
// A descriptor we inherited shares its flags with the user's shell, so O_NONBLOCK may not be set
// on it: the file behind it is opened a second time through /proc where that is possible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/unique_fd.hpp"

namespace vmm {

class HostStream {
public:
    enum class Flow : std::uint8_t {
        Ready,    ///< there may be more to move at once
        Blocked,  ///< wait until the descriptor is ready
        Ended,    ///< end of input, or nobody at the other end any more; for ever
    };
    struct Moved {
        std::size_t bytes = 0;
        Flow flow = Flow::Ready;
        int error = 0;  ///< errno, where that is why it ended or lost bytes
    };

    HostStream() = default;  ///< nobody at the other end

    /// For a descriptor that other processes may hold too. A closed one gives an empty stream.
    static HostStream shared_input(int fd);
    static HostStream shared_output(int fd);

    /// For text to whoever sits at the terminal that `fd` is, however it was opened.
    static HostStream terminal(int fd);

    /// `fd` is ours alone, and O_NONBLOCK is set where it makes a difference.
    static HostStream own(UniqueFd fd);

    Moved read(std::span<std::byte> bytes) noexcept;

    /// A file that takes nothing (full disk) answers Ready with an error: the next write may work.
    Moved write(std::span<const std::byte> bytes) noexcept;

    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    int fd() const noexcept { return fd_.get(); }

    /// write() returns at once whatever other processes do, so a vCPU thread may call it.
    bool writes_at_once() const noexcept {
        return kind_ == Kind::NonBlocking || kind_ == Kind::Socket;
    }

    /// write() may take as long as a file system does, and poll() does not tell.
    bool waits_for_storage() const noexcept { return kind_ == Kind::File; }

private:
    enum class Kind : std::uint8_t {
        NonBlocking,  ///< an open file description of our own
        Socket,       ///< MSG_DONTWAIT does it for each call
        Shared,       ///< asked with poll() before each small call
        File,         ///< regular file or disk: never "not ready"
    };

    HostStream(UniqueFd fd, Kind kind) : fd_{std::move(fd)}, kind_{kind} {}
    static HostStream shared(int fd, int access);

    UniqueFd fd_;
    Kind kind_ = Kind::NonBlocking;
};

}  // namespace vmm
