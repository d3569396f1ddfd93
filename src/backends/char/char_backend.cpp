// SPDX-License-Identifier: Apache-2.0
#include "backends/char/char_backend.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "backends/char/char_channel.hpp"
#include "backends/char/pty_channel.hpp"
#include "backends/char/socket_channel.hpp"
#include "backends/char/tty_channel.hpp"
#include "vmm/log.hpp"
#include "vmm/named_descriptor.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

Result<UniqueFd> open_output(const std::string& path) {
    // Always behind what is there: another program may empty the file (logrotate's copytruncate).
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    UniqueFd fd{::open(path.c_str(), flags, 0644)};
    if (fd)
        return fd;
    Error error = Error::os("open", errno);
    struct stat what {};
    const bool known = ::stat(path.c_str(), &what) == 0;
    if (known && S_ISSOCK(what.st_mode))
        return std::unexpected(std::move(error).hint(
            "This is a socket, which cannot be opened as a file: vmm listens itself, on the path "
            "of socket=PATH."));
    if (known && S_ISFIFO(what.st_mode))
        return std::unexpected(std::move(error).hint("Start the reader of this named pipe first."));
    return std::unexpected(std::move(error).hint("Name a file that you may create or write."));
}

/// What was open before we were there is written to as it is: not opened again, which would empty
/// a file or move its offset, and without a change of flags that others share.
Result<HostStream> use_descriptor(int fd) {
    if (fd > STDERR_FILENO && !is_inherited(fd))
        return std::unexpected(
            Error{ErrorKind::Config, cat("descriptor ", fd, " was not open when vmm was started")}
                .hint(cat("Open it where vmm is started (", fd,
                          ">>FILE in a shell), or name a "
                          "file.")));
    auto stream = HostStream::shared_output(fd);
    if (!stream)
        return std::unexpected(
            Error{ErrorKind::Config, cat("descriptor ", fd, " is open for reading only")}.hint(
                "Open it for writing where vmm is started, or name a file."));
    return stream;
}

/// Empties the file when the machine starts, so that one that cannot start leaves it as it was.
class FileChannel final : public CharChannel {
public:
    using CharChannel::CharChannel;

    void attach(ByteChannelUser& user, Mutex& lock) noexcept override {
        // Pipes and devices (EINVAL) have nothing to empty.
        if (::ftruncate(output().fd(), 0) != 0 && errno != EINVAL)
            log::warn(place(), " keeps what was in it: it cannot be emptied (errno ", errno, ")");
        CharChannel::attach(user, lock);
    }
};

Result<std::unique_ptr<CharBackend>> make_file(boost::asio::io_context& loop,
                                               const CharBackendConfig& config) {
    auto parts = VMM_TRY(CharChannel::Parts::create());
    if (const auto open = named_descriptor(config.path)) {
        auto stream = VMM_TRY(use_descriptor(*open));
        auto channel = std::make_unique<CharChannel>(loop, std::move(parts), config, config.path,
                                                     CharChannel::Output::Buffered);
        channel->set_output(std::move(stream));
        return channel;
    }
    UniqueFd fd = VMM_TRY(open_output(config.path));
    auto channel = std::make_unique<FileChannel>(loop, std::move(parts), config, config.path,
                                                 CharChannel::Output::Buffered);
    channel->set_output(HostStream::own(std::move(fd)));
    return channel;
}

Result<std::unique_ptr<CharBackend>> make_null(boost::asio::io_context& loop,
                                               const CharBackendConfig& config) {
    auto parts = VMM_TRY(CharChannel::Parts::create());
    return std::make_unique<CharChannel>(loop, std::move(parts), config, "",
                                         CharChannel::Output::Nowhere);
}

}  // namespace

Result<std::unique_ptr<CharBackend>> make_char_backend(boost::asio::io_context& loop,
                                                       const CharBackendConfig& config,
                                                       CharBackendEvents& events) {
    ::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of write(2), not our end
    switch (config.mode) {
        case CharMode::Tty:
            return VMM_TRY_OR(TtyChannel::create(loop, config, events),
                              cat("connect ", config.name, " to the terminal"));
        case CharMode::File:
            return VMM_TRY_OR(make_file(loop, config),
                              cat("open ", config.path, " for the output of ", config.name));
        case CharMode::Pty:
            return VMM_TRY_OR(PtyChannel::create(loop, config),
                              cat("make a pty for ", config.name));
        case CharMode::Socket:
            return VMM_TRY_OR(SocketChannel::create(loop, config),
                              cat("listen on ", config.path, " for ", config.name));
        case CharMode::Null:
            return VMM_TRY_OR(make_null(loop, config), cat("make ", config.name));
    }
    std::unreachable();
}

}  // namespace vmm
