// A Unix stream socket at a path; one client at a time talks to the guest.
//
// Spec: unix(7). The file is accessible to its owner only. A second client is turned away. What the
// guest sends while nobody is connected waits in the buffer.
#pragma once

#include <sys/types.h>

#include <memory>

#include "backends/char_channel.hpp"

namespace vmm {

/// A listening socket and its file, which goes when this goes.
class SocketFile {
public:
    /// Replaces a file that a dead process left, but not one that somebody listens on.
    static Result<SocketFile> create(const std::string& path);

    SocketFile(SocketFile&& other) noexcept = default;
    SocketFile& operator=(SocketFile&&) = delete;
    ~SocketFile();

    int fd() const noexcept { return fd_.get(); }

private:
    SocketFile(UniqueFd fd, std::string path, dev_t device, ino_t inode)
        : fd_{std::move(fd)}, path_{std::move(path)}, device_{device}, inode_{inode} {}

    UniqueFd fd_;
    std::string path_;
    dev_t device_;  // with inode_: which file is ours
    ino_t inode_;
};

class SocketChannel final : public CharChannel {
public:
    static Result<std::unique_ptr<CharBackend>> create(boost::asio::io_context& loop,
                                                       const CharBackendConfig& config);

    SocketChannel(boost::asio::io_context& loop, Parts parts, const CharBackendConfig& config,
                  SocketFile file)
        : CharChannel{loop, std::move(parts), config, config.path, Output::Buffered},
          file_{std::move(file)} {
        watch(file_.fd());
    }

private:
    void input_ended() noexcept override;
    void peer_left() noexcept override { let_go_if_hung_up(); }
    void output_ended(int error) noexcept override;
    void watched_ready() noexcept override;
    void connect(UniqueFd client) noexcept;
    void let_go_if_hung_up() noexcept;

    SocketFile file_;
};

}  // namespace vmm
