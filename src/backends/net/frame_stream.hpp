// SPDX-License-Identifier: Apache-2.0
// Frames over a stream socket, each preceded by its length: what passt and QEMU's stream netdev
// speak.
//
// On the wire: 4 bytes of length, big endian, then the frame. There is no virtio header: one of
// zeros is put in front of what comes, and the one in front of what goes is left out, so neither
// side may leave anything undone in a frame. Threads: vmm/net_backend.hpp. Costs: frames that come
// are copied once, out of what one recv brought.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "vmm/net_backend.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

class FrameStream final : public FrameChannel {
public:
    /// A connected stream socket.
    explicit FrameStream(UniqueFd socket);

    int fd() const noexcept override { return socket_.get(); }
    FrameIo receive(std::span<const iovec> to) noexcept override;
    FrameIo send(std::span<const iovec> frame) noexcept override;
    FrameIo flush() noexcept override;

    /// The other side sees the end of the stream. fd() stays what it is.
    void close() noexcept;

private:
    static constexpr std::size_t kPrefix = 4;
    static constexpr std::size_t kInSize = 256 << 10;

    enum class Parsed : std::uint8_t { Nothing, Frame, Runt, Nonsense };

    Parsed parse() noexcept;
    FrameIo::Status read_more() noexcept;
    FrameIo sent(std::size_t done, std::size_t pieces, std::size_t total) noexcept;

    UniqueFd socket_;

    // Received and not taken yet: [in_first_, in_end_).
    std::unique_ptr<std::byte[]> in_;
    std::size_t in_first_ = 0;
    std::size_t in_end_ = 0;
    std::size_t frame_ = 0;  // bytes of the first frame, once it is there whole

    // The end of a frame that the socket had no room for: [out_first_, out_end_).
    std::unique_ptr<std::byte[]> out_;
    std::size_t out_first_ = 0;
    std::size_t out_end_ = 0;
    std::array<std::byte, kPrefix> prefix_{};
    std::vector<iovec> pieces_;
};

}  // namespace vmm
