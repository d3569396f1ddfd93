// SPDX-License-Identifier: Apache-2.0
// A Unix stream socket at a path; one client at a time talks to the guest.
//
// Spec: unix(7). The file is accessible to its owner only. The newest client wins: the one before
// it is disconnected, because it may be one that hangs, and nobody can tell that from one that is
// idle. What the guest sends while nobody is connected waits in the buffer.
// Where a client cannot be taken (no descriptor is free) it waits for the next try.
#pragma once

#include <sys/un.h>

#include <memory>

#include "backends/char/char_channel.hpp"
#include "vmm/last_step.hpp"

namespace vmm {

/// A listening socket and its file, which goes when this goes.
class SocketFile {
public:
    /// Replaces a file that a dead process left, but not one that somebody listens on.
    static Result<SocketFile> create(const std::string& path);

    int fd() const noexcept { return fd_.get(); }

private:
    static Result<SocketFile> bound(UniqueFd fd, const std::string& path,
                                    const sockaddr_un& address);
    SocketFile(UniqueFd fd, std::unique_ptr<OwnFile> file)
        : fd_{std::move(fd)}, file_{std::move(file)} {}

    UniqueFd fd_;
    std::unique_ptr<OwnFile> file_;
};

class SocketChannel final : public CharChannel {
public:
    static Result<std::unique_ptr<CharBackend>> create(boost::asio::io_context& loop,
                                                       const CharBackendConfig& config);

    SocketChannel(boost::asio::io_context& loop, Parts parts, const CharBackendConfig& config,
                  SocketFile file, UniqueFd next_try)
        : CharChannel{loop, std::move(parts), config, config.path, Output::Buffered},
          file_{std::move(file)},
          next_try_{std::move(next_try)} {
        watch(file_.fd());
        watch(next_try_.get());
    }

private:
    void input_ended() noexcept override;
    void peer_left() noexcept override { let_go_if_hung_up(); }
    void output_ended(int error) noexcept override;
    void watched_ready() noexcept override;
    int take_client() noexcept;
    void let_go_if_hung_up() noexcept;

    SocketFile file_;
    UniqueFd next_try_;  // a timer
    UniqueFd waiting_;   // a client that was accepted and cannot be served yet
    bool complained_ = false;
};

}  // namespace vmm
