// SPDX-License-Identifier: Apache-2.0
#include "backends/char/pty_channel.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace vmm {
namespace {

struct Pty {
    UniqueFd ours;
    UniqueFd client;
    std::string name;
};

Result<Pty> open_pty() {
    UniqueFd ours{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)};
    if (!ours)
        return std::unexpected(Error::os("posix_openpt", errno));
    if (::grantpt(ours.get()) != 0)
        return std::unexpected(Error::os("grantpt", errno));
    if (::unlockpt(ours.get()) != 0)
        return std::unexpected(Error::os("unlockpt", errno));
    std::array<char, 64> name{};
    if (const int error = ::ptsname_r(ours.get(), name.data(), name.size()); error != 0)
        return std::unexpected(Error::os("ptsname_r", error));
    // By descriptor: the name may mean another terminal in another mount namespace.
    UniqueFd client{::ioctl(ours.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)};
    if (!client)
        return std::unexpected(Error::os("TIOCGPTPEER", errno));

    termios modes{};
    if (::tcgetattr(client.get(), &modes) != 0)
        return std::unexpected(Error::os("tcgetattr", errno));
    ::cfmakeraw(&modes);
    if (::tcsetattr(client.get(), TCSANOW, &modes) != 0)
        return std::unexpected(Error::os("tcsetattr", errno));
    return Pty{.ours = std::move(ours), .client = std::move(client), .name = name.data()};
}

}  // namespace

Result<std::unique_ptr<CharBackend>> PtyChannel::create(boost::asio::io_context& loop,
                                                        const CharBackendConfig& config) {
    Parts parts = VMM_TRY(Parts::create());
    Pty pty = VMM_TRY(open_pty());
    UniqueFd output{::fcntl(pty.ours.get(), F_DUPFD_CLOEXEC, 3)};
    if (!output)
        return std::unexpected(Error::os("fcntl", errno));
    std::optional<TerminalLink> link;
    if (!config.path.empty())
        link.emplace(VMM_TRY(TerminalLink::create(config.path, pty.name, pty.client.get())));
    auto channel = std::make_unique<PtyChannel>(loop, std::move(parts), config, std::move(pty.name),
                                                std::move(pty.client), std::move(link));
    channel->set_input(HostStream::own(std::move(pty.ours)));
    channel->set_output(HostStream::own(std::move(output)));
    return channel;
}

std::optional<TerminalSize> PtyChannel::terminal_size() const noexcept {
    winsize size{};
    if (::ioctl(client_.get(), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return std::nullopt;  // no client has said
    return TerminalSize{.columns = size.ws_col, .rows = size.ws_row};
}

std::size_t PtyChannel::unread_output() const noexcept {
    // Bytes cross the pty in the background; poll() waits for those under way, FIONREAD does not.
    pollfd asked{.fd = client_.get(), .events = POLLIN, .revents = 0};
    ::poll(&asked, 1, 0);
    int count = 0;
    if (::ioctl(client_.get(), FIONREAD, &count) != 0 || count < 0)
        return 0;
    return static_cast<std::size_t>(count);
}

// FIONREAD knows only what has crossed already, which is less than the pty holds.
std::size_t PtyChannel::take_back_unread() noexcept {
    ::fcntl(client_.get(), F_SETFL, O_RDWR | O_NONBLOCK);
    std::array<std::byte, 4096> bytes{};
    std::size_t taken = 0;
    pollfd asked{.fd = client_.get(), .events = POLLIN, .revents = 0};
    while (::poll(&asked, 1, 0) == 1) {
        const ssize_t count = ::read(client_.get(), bytes.data(), bytes.size());
        if (count <= 0)
            break;
        taken += static_cast<std::size_t>(count);
    }
    return taken;
}

}  // namespace vmm
