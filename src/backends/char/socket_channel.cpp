// SPDX-License-Identifier: Apache-2.0
#include "backends/char/socket_channel.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "backends/char/one_shot_timer.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm {
namespace {

constexpr std::chrono::seconds kNextTry{1};

std::optional<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return std::nullopt;
    path.copy(address.sun_path, path.size());
    return address;
}

/// bind(2) and connect(2) want the common type of all addresses.
const sockaddr* any(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

Result<UniqueFd> make_socket() {
    UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd)
        return std::unexpected(Error::os("socket", errno));
    return fd;
}

/// Removes a socket that nobody listens on any more; fails when the path is somebody's.
Result<> clear_away(const std::string& path, const sockaddr_un& address) {
    struct stat what {};
    if (::lstat(path.c_str(), &what) != 0)
        return std::unexpected(Error::os("lstat", errno));
    if (!S_ISSOCK(what.st_mode))
        return std::unexpected(
            Error::os("bind", EADDRINUSE)
                .hint("The path is a file of another kind: name one that does not exist."));

    const UniqueFd probe = VMM_TRY(make_socket());
    if (::connect(probe.get(), any(address), sizeof address) == 0 || errno != ECONNREFUSED)
        return std::unexpected(Error::os("bind", EADDRINUSE)
                                   .hint("Another process listens there: end it or name another "
                                         "path."));
    if (::unlink(path.c_str()) != 0)
        return std::unexpected(Error::os("unlink", errno));
    return {};
}

Result<> bind_to(const UniqueFd& fd, const std::string& path, const sockaddr_un& address) {
    if (::bind(fd.get(), any(address), sizeof address) == 0)
        return {};
    if (errno != EADDRINUSE)
        return std::unexpected(
            Error::os("bind", errno).hint("Name a path in a directory that you may write to."));
    VMM_TRY(clear_away(path, address));
    if (::bind(fd.get(), any(address), sizeof address) != 0)
        return std::unexpected(Error::os("bind", errno));
    return {};
}

bool hung_up(const HostStream& stream) {
    pollfd asked{.fd = stream.fd(), .events = 0, .revents = 0};
    return ::poll(&asked, 1, 0) == 1 && (asked.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace

// No signal comes between the file and whoever removes it.
Result<SocketFile> SocketFile::bound(UniqueFd fd, const std::string& path,
                                     const sockaddr_un& address) {
    const SignalsBlocked together;
    VMM_TRY(bind_to(fd, path, address));
    return SocketFile{std::move(fd), std::make_unique<OwnFile>(path)};
}

Result<SocketFile> SocketFile::create(const std::string& path) {
    const auto address = address_of(path);
    if (!address)
        return std::unexpected(Error{
            ErrorKind::Config, cat("a socket's path has 1 to ", sizeof(sockaddr_un::sun_path) - 1,
                                   " characters, this one has ", path.size())}
                                   .hint("Name a shorter path, for example below /tmp or /run."));
    UniqueFd fd = VMM_TRY(make_socket());
    if (::fchmod(fd.get(), 0600) != 0)  // the mode that bind() gives the file
        return std::unexpected(Error::os("fchmod", errno));
    SocketFile file = VMM_TRY(bound(std::move(fd), path, *address));
    if (::listen(file.fd(), /*backlog=*/4) != 0)
        return std::unexpected(Error::os("listen", errno));
    return file;
}

Result<std::unique_ptr<CharBackend>> SocketChannel::create(boost::asio::io_context& loop,
                                                           const CharBackendConfig& config) {
    Parts parts = VMM_TRY(Parts::create());
    SocketFile file = VMM_TRY(SocketFile::create(config.path));
    UniqueFd next_try = VMM_TRY(make_one_shot_timer());
    return std::make_unique<SocketChannel>(loop, std::move(parts), config, std::move(file),
                                           std::move(next_try));
}

// Accepting is tried only once a second where it fails: a client that waits would else keep the
// loop busy for as long as no descriptor is free.
void SocketChannel::watched_ready() noexcept {
    static_cast<void>(take_expiry(next_try_));
    watch(next_try_.get());
    const int error = take_client();
    if (error == 0 || error == EAGAIN || error == ECONNABORTED) {
        watch(file_.fd());
        return;
    }
    start_once(next_try_, kNextTry);
    if (!std::exchange(complained_, true))
        log::warn(name(), ": a client of ", place(), " has to wait: ", ::strerrordesc_np(error));
}

/// 0, or errno.
int SocketChannel::take_client() noexcept {
    if (!waiting_)
        waiting_ = UniqueFd{::accept4(file_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!waiting_)
        return errno;
    // One number for each way, since epoll knows a file once for each.
    UniqueFd both{::fcntl(waiting_.get(), F_DUPFD_CLOEXEC, 3)};
    if (!both)
        return errno == EINVAL ? EMFILE : errno;  // the limit is below 3
    input().read();  // of the client before, who may have said all and gone
    if (output() && !hung_up(output()))
        log::info(name(), ": a new client of ", place(), " takes the place of the one before");
    set_input(HostStream::own(std::exchange(waiting_, {})));
    set_output(HostStream::own(std::move(both)));
    return 0;
}

void SocketChannel::input_ended() noexcept {
    set_input({});
    let_go_if_hung_up();
}

// Whoever hung up may be the client before this one.
void SocketChannel::let_go_if_hung_up() noexcept {
    if (output() && hung_up(output()))
        set_output({});
}

void SocketChannel::output_ended(int) noexcept {
    set_output({});
}

}  // namespace vmm
