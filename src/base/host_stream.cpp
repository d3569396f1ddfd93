// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

#include "vmm/text.hpp"

namespace vmm {
namespace {

// What may be written to a shared descriptor that poll() calls writable: a pipe then has room for
// PIPE_BUF bytes, a terminal at least for a few.
constexpr std::size_t kSharedWrite = 64;  // bytes

std::optional<unsigned> terminal_number(int fd) {
    unsigned number = 0;
    if (::ioctl(fd, TIOCGDEV, &number) != 0)
        return std::nullopt;
    return number;
}

/// The same file, opened again for us alone; without a value where the host does not let us.
UniqueFd open_again(int fd, int access) {
    const int flags = access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    UniqueFd again{::open(cat("/proc/self/fd/", fd).c_str(), flags)};
    if (again)
        return again;
    // Another user's terminal (su, sudo) cannot be opened by name, but as "our own" it can.
    UniqueFd controlling{::open("/dev/tty", flags)};
    const auto number = terminal_number(fd);
    if (controlling && number && terminal_number(controlling.get()) == number)
        return controlling;
    return {};
}

bool would_block(int error) {
    return error == EAGAIN || error == EWOULDBLOCK;
}

bool ready(int fd, short events) {
    pollfd asked{.fd = fd, .events = events, .revents = 0};
    return ::poll(&asked, 1, 0) == 1;
}

}  // namespace

HostStream HostStream::shared(int fd, int access) {
    struct stat what {};
    if (::fstat(fd, &what) != 0)
        return {};
    // Opening again could turn one direction of a pipe into the other.
    const int mode = ::fcntl(fd, F_GETFL) & O_ACCMODE;
    UniqueFd copy{::fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    if (!copy || (mode != access && mode != O_RDWR))
        return {};
    // A file is not opened again: the offset must stay shared with those who appended before us.
    if (S_ISREG(what.st_mode) || S_ISBLK(what.st_mode))
        return HostStream{std::move(copy), Kind::File};
    if (S_ISSOCK(what.st_mode))
        return HostStream{std::move(copy), Kind::Socket};
    if (UniqueFd again = open_again(fd, access))
        return HostStream{std::move(again), Kind::NonBlocking};
    return HostStream{std::move(copy), Kind::Shared};
}

HostStream HostStream::shared_input(int fd) {
    return shared(fd, O_RDONLY);
}
HostStream HostStream::shared_output(int fd) {
    return shared(fd, O_WRONLY);
}

HostStream HostStream::terminal(int fd) {
    if (UniqueFd again = open_again(fd, O_WRONLY))
        return HostStream{std::move(again), Kind::NonBlocking};
    return shared_output(fd);
}

HostStream HostStream::own(UniqueFd fd) {
    struct stat what {};
    const bool known = ::fstat(fd.get(), &what) == 0;
    if (known && (S_ISREG(what.st_mode) || S_ISBLK(what.st_mode)))
        return HostStream{std::move(fd), Kind::File};
    if (known && S_ISSOCK(what.st_mode))
        return HostStream{std::move(fd), Kind::Socket};
    return HostStream{std::move(fd), Kind::NonBlocking};
}

HostStream::Moved HostStream::read(std::span<std::byte> bytes) noexcept {
    if (!fd_)
        return {.flow = Flow::Ended};
    if (kind_ == Kind::Shared && !ready(fd_.get(), POLLIN))
        return {.flow = Flow::Blocked};

    ssize_t count = -1;
    do {
        count = kind_ == Kind::Socket ? ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT)
                                      : ::read(fd_.get(), bytes.data(), bytes.size());
    } while (count < 0 && errno == EINTR);
    const int why = errno;

    if (count > 0)
        return {.bytes = static_cast<std::size_t>(count)};
    if (count == 0)
        return {.flow = Flow::Ended};
    if (would_block(why))
        return {.flow = Flow::Blocked};
    return {.flow = Flow::Ended, .error = why};
}

HostStream::Moved HostStream::write(std::span<const std::byte> bytes) noexcept {
    if (!fd_)
        return {.flow = Flow::Ended};
    if (kind_ == Kind::Shared) {
        if (!ready(fd_.get(), POLLOUT))
            return {.flow = Flow::Blocked};
        bytes = bytes.first(std::min(bytes.size(), kSharedWrite));
    }

    ssize_t count = -1;
    do {
        count = kind_ == Kind::Socket
                    ? ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                    : ::write(fd_.get(), bytes.data(), bytes.size());
    } while (count < 0 && errno == EINTR);
    const int why = errno;

    if (count > 0)
        return {.bytes = static_cast<std::size_t>(count)};
    if (count == 0 || would_block(why))
        return {.flow = Flow::Blocked};
    return {.flow = kind_ == Kind::File ? Flow::Ready : Flow::Ended, .error = why};
}

}  // namespace vmm
