// SPDX-License-Identifier: Apache-2.0
// What a network device needs from the host: channels that carry whole Ethernet frames.
//
// Spec: virtio 1.3, 5.1.6 (struct virtio_net_hdr), which is also Linux's header in front of the
// frames of a tap. Lengths are bytes; numbers in the header are little endian. Threads: a channel
// belongs to the I/O thread that serves it, and so do activate() and use(); everything else is
// asked before the device runs. The device owns its backend.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace vmm {

using MacAddress = std::array<std::uint8_t, 6>;

/// Stands in front of every frame, in both directions and whatever the backend is.
struct FrameHeader {
    std::uint8_t flags = 0;             //  0
    std::uint8_t gso_type = 0;          //  1
    std::uint16_t header_length = 0;    //  2  Ethernet, IP and TCP or UDP headers
    std::uint16_t gso_size = 0;         //  4  payload of each segment
    std::uint16_t checksum_start = 0;   //  6
    std::uint16_t checksum_offset = 0;  //  8  from checksum_start
    std::uint16_t num_buffers = 0;      // 10
    static constexpr std::size_t kSize = 12;

    // flags
    static constexpr std::uint8_t kNeedsChecksum = 1;
    // gso_type
    static constexpr std::uint8_t kGsoNone = 0;
    static constexpr std::uint8_t kGsoTcp4 = 1;
    static constexpr std::uint8_t kGsoUdp = 3;  ///< fragments (UFO)
    static constexpr std::uint8_t kGsoTcp6 = 4;
    static constexpr std::uint8_t kGsoUdpL4 = 5;  ///< segments (USO)
    static constexpr std::uint8_t kGsoEcn = 0x80;

    friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};
static_assert(sizeof(FrameHeader) == FrameHeader::kSize &&
              offsetof(FrameHeader, num_buffers) == 10);

/// The largest frame: 64 KiB of IP packet after an Ethernet header with a VLAN tag.
inline constexpr std::size_t kMaxFrame = 65535 + 18;
inline constexpr std::size_t kMinFrame = 14;
/// Up to this length a frame is sooner copied than told to the kernel in pieces, either way.
inline constexpr std::size_t kShortFrame = 256;

/// What may be left undone in a frame because its receiver does it, or passes it on undone.
struct FrameOffloads {
    bool checksum = false;
    bool tso4 = false;
    bool tso6 = false;
    bool ecn = false;
    bool ufo = false;
    bool uso = false;  ///< over IPv4 and IPv6

    /// Frames may be longer than the MTU.
    bool any_segmentation() const noexcept { return tso4 || tso6 || ufo || uso; }
    friend bool operator==(const FrameOffloads&, const FrameOffloads&) = default;
};

/// How an attempt to move one frame ended.
struct FrameIo {
    enum class Status : std::uint8_t {
        Done,     ///< moved; `bytes` of header and frame
        Kept,     ///< copied; goes out with those after it, at the latest with flush()
        Filled,   ///< sent; its end still waits in the channel: flush() after an EPOLLOUT
        Again,    ///< nothing there, or no room: wait for fd()
        Dropped,  ///< this frame is lost, the next may do better
        Gone,     ///< the channel is dead and stays dead
    };
    Status status = Status::Again;
    std::size_t bytes = 0;
    std::size_t lost = 0;  ///< flush(): of the frames that were Kept, since it was asked last
};

/// Frames in and out. Neither call waits.
class FrameChannel {
public:
    virtual ~FrameChannel() = default;

    /// For epoll, edge triggered: an edge comes only after receive() (or send(), for EPOLLOUT) has
    /// answered Again, so whoever stops earlier has to come back by himself. Stays the same.
    virtual int fd() const noexcept = 0;

    /// Header and frame into `to`, which has room for both as large as they can be; bytes that do
    /// not fit are lost without a sign. num_buffers is left as it was.
    virtual FrameIo receive(std::span<const iovec> to) noexcept = 0;

    /// The first piece is a FrameHeader and nothing else, or the only one is header and frame; at
    /// most IOV_MAX pieces.
    virtual FrameIo send(std::span<const iovec> frame) noexcept = 0;

    /// Sends the frames that were Kept, and what is left of one that Filled the channel: Done,
    /// Again or Gone.
    virtual FrameIo flush() noexcept = 0;
};

class NetBackend {
public:
    virtual ~NetBackend() = default;

    /// As BlockQueue::prepare().
    virtual void prepare() noexcept {}

    /// One for each pair of queues; at least one.
    virtual std::size_t channels() const noexcept = 0;
    virtual FrameChannel& channel(std::size_t index) noexcept = 0;

    /// What the guest may leave undone in frames that we send.
    virtual FrameOffloads takes() const noexcept = 0;
    /// What could be left undone in frames that we receive, if use() asks for it; nothing is until
    /// it does.
    virtual FrameOffloads gives() const noexcept = 0;
    virtual void use(FrameOffloads offloads) noexcept = 0;

    /// Received frames arrive on the first `channels` channels from now on.
    virtual void activate(std::size_t channels) noexcept = 0;

    /// Of the host's side, where it has one.
    virtual std::optional<std::uint16_t> mtu() const noexcept = 0;

    /// Readable (edge triggered) when link_up() may have changed; -1 if it never does before a
    /// channel is gone.
    virtual int link_fd() const noexcept = 0;
    /// I/O thread, or before the device runs.
    virtual bool link_up() noexcept = 0;

    /// For the log when a channel is Gone: what has happened, as a clause. Any number of times.
    virtual std::string why_gone() = 0;
};

}  // namespace vmm
