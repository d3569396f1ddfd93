// SPDX-License-Identifier: Apache-2.0
#include "backends/net/frame_stream.hpp"

#include <endian.h>
#include <limits.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "vmm/scatter.hpp"

namespace vmm {
namespace {

using Status = FrameIo::Status;

/// Bytes moved, or what the error means.
struct Moved {
    Status status = Status::Done;
    std::size_t bytes = 0;
};

template <class Call>
Moved attempt(Call&& call) noexcept {
    ssize_t done = 0;
    do {
        done = call();
    } while (done < 0 && errno == EINTR);
    if (done > 0)
        return {.bytes = static_cast<std::size_t>(done)};
    if (done < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
        return {.status = Status::Again};
    return {.status = Status::Gone};
}

}  // namespace

FrameStream::FrameStream(UniqueFd socket)
    : socket_{std::move(socket)},
      in_{std::make_unique_for_overwrite<std::byte[]>(kInSize)},
      out_{std::make_unique_for_overwrite<std::byte[]>(kPrefix + kMaxFrame)},
      pieces_(IOV_MAX) {}

void FrameStream::close() noexcept {
    ::shutdown(socket_.get(), SHUT_RDWR);  // fails only if it has ended already
}

FrameIo FrameStream::receive(std::span<const iovec> to) noexcept {
    for (;;) {
        switch (parse()) {
            case Parsed::Frame:
                break;
            case Parsed::Runt:
                return {.status = Status::Dropped};
            case Parsed::Nonsense:
                return {.status = Status::Gone};
            case Parsed::Nothing:
                const Status status = read_more();
                if (status != Status::Done)
                    return {.status = status};
                continue;
        }
        static constexpr std::array<std::byte, FrameHeader::kSize> kNoHeader{};
        const std::span frame{in_.get() + in_first_, frame_};
        std::size_t bytes = scatter(to, 0, kNoHeader);
        bytes += scatter(to, FrameHeader::kSize, frame);
        in_first_ += std::exchange(frame_, 0);
        return {Status::Done, bytes};
    }
}

// Takes the length of the next frame off the buffer once the frame is there whole.
FrameStream::Parsed FrameStream::parse() noexcept {
    if (in_end_ - in_first_ < kPrefix)
        return Parsed::Nothing;
    std::uint32_t length = 0;
    std::memcpy(&length, in_.get() + in_first_, sizeof length);
    length = be32toh(length);
    if (length > kMaxFrame)
        return Parsed::Nonsense;
    if (in_end_ - in_first_ - kPrefix < length)
        return Parsed::Nothing;
    in_first_ += kPrefix;
    if (length < kMinFrame) {
        in_first_ += length;
        return Parsed::Runt;
    }
    frame_ = length;
    return Parsed::Frame;
}

FrameIo::Status FrameStream::read_more() noexcept {
    // There is room for a whole frame from where it begins, or it is moved to the front.
    if (kInSize - in_first_ < kPrefix + kMaxFrame || in_first_ == in_end_) {
        std::memmove(in_.get(), in_.get() + in_first_, in_end_ - in_first_);
        in_end_ -= std::exchange(in_first_, 0);
    }
    const Moved moved = attempt([&] {
        return ::recv(socket_.get(), in_.get() + in_end_, kInSize - in_end_, MSG_DONTWAIT);
    });
    in_end_ += moved.bytes;
    return moved.status;
}

FrameIo FrameStream::send(std::span<const iovec> frame) noexcept {
    const FrameIo before = flush();
    if (before.status != Status::Done)
        return before;
    std::size_t length = 0;
    std::size_t count = 1;
    const auto add = [&](const iovec& piece) {
        pieces_[count++] = piece;
        length += piece.iov_len;
    };
    if (frame.size() == 1 && frame[0].iov_len > FrameHeader::kSize)
        add({static_cast<std::byte*>(frame[0].iov_base) + FrameHeader::kSize,
             frame[0].iov_len - FrameHeader::kSize});
    for (const iovec& piece : frame.subspan(1))
        add(piece);
    if (length > kMaxFrame)
        return {.status = Status::Dropped};
    const std::uint32_t wire = htobe32(static_cast<std::uint32_t>(length));
    std::memcpy(prefix_.data(), &wire, sizeof wire);
    pieces_[0] = {prefix_.data(), prefix_.size()};

    msghdr message{};
    message.msg_iov = pieces_.data();
    message.msg_iovlen = count;
    const Moved moved =
        attempt([&] { return ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
    if (moved.status != Status::Done)
        return {.status = moved.status};
    return sent(moved.bytes, count, kPrefix + length);
}

// What the socket did not take is kept: a stream cannot take back the beginning of a frame.
FrameIo FrameStream::sent(std::size_t done, std::size_t pieces, std::size_t total) noexcept {
    if (done == total)
        return {Status::Done, FrameHeader::kSize + total - kPrefix};
    out_first_ = 0;
    out_end_ = 0;
    for (const iovec& piece : std::span{pieces_}.first(pieces)) {
        const std::size_t skip = std::min(done, piece.iov_len);
        done -= skip;
        std::memcpy(out_.get() + out_end_, static_cast<const std::byte*>(piece.iov_base) + skip,
                    piece.iov_len - skip);
        out_end_ += piece.iov_len - skip;
    }
    return {Status::Filled, FrameHeader::kSize + total - kPrefix};
}

FrameIo FrameStream::flush() noexcept {
    while (out_first_ < out_end_) {
        const Moved moved = attempt([&] {
            return ::send(socket_.get(), out_.get() + out_first_, out_end_ - out_first_,
                          MSG_DONTWAIT | MSG_NOSIGNAL);
        });
        if (moved.status != Status::Done)
            return {.status = moved.status};
        out_first_ += moved.bytes;
    }
    return {.status = Status::Done};
}

}  // namespace vmm
