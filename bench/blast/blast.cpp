// SPDX-License-Identifier: Apache-2.0
// Sends frames into a network interface as fast as it takes them, until it is killed: what is on
// the other end of the tap in bench/devices.py's rows about receiving.
//
//     blast INTERFACE BYTES        frames of more than 1514 bytes go as TCP segments for the driver
//     to cut
//
// A packet socket counts what the interface has not yet delivered against its send buffer, so the
// sender waits for the receiver and nothing is dropped.
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <net/ethernet.h>
#include <net/if.h>
#include <vector>

namespace {

constexpr std::size_t kBatch = 32;
constexpr std::size_t kLargestPlain = 1514;
constexpr std::array<std::uint8_t, 54> kHeaders{
    2,    0, 0,    0, 0, 1, 2, 0, 0,  0, 0, 2, 8,    0,                               // Ethernet
    0x45, 0, 0,    0, 0, 0, 0, 0, 64, 6, 0, 0, 10,   9,    9,    2,    10, 9, 9, 1,   // IPv4
    0x20, 0, 0x10, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0,  0, 0, 0};  // TCP

// struct virtio_net_hdr; the kernel's header for it is not for C++.
struct NetHeader {
    std::uint8_t flags;
    std::uint8_t gso_type;
    std::uint16_t hdr_len;
    std::uint16_t gso_size;
    std::uint16_t csum_start;
    std::uint16_t csum_offset;
};
constexpr std::uint8_t kNeedsChecksum = 1;
constexpr std::uint8_t kTcpV4 = 1;

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

std::vector<std::uint8_t> make_frame(std::size_t size) {
    const bool cut = size > kLargestPlain;
    NetHeader header{};
    if (cut) {
        header.flags = kNeedsChecksum;
        header.gso_type = kTcpV4;
        header.hdr_len = kHeaders.size();
        header.gso_size = 1448;
        header.csum_start = 34;
        header.csum_offset = 16;
    }
    std::vector<std::uint8_t> frame(sizeof header + size);
    std::memcpy(frame.data(), &header, sizeof header);
    std::memcpy(frame.data() + sizeof header, kHeaders.data(), kHeaders.size());
    const std::size_t ip_length = size - 14;
    frame[sizeof header + 16] = static_cast<std::uint8_t>(ip_length >> 8);
    frame[sizeof header + 17] = static_cast<std::uint8_t>(ip_length);
    return frame;
}

int open_socket(const char* interface) {
    const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_protocol = 0;
    to.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
    if (to.sll_ifindex == 0)
        fail(interface);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
        fail("bind");
    const int on = 1;
    if (::setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0)
        fail("PACKET_VNET_HDR");
    return fd;
}

}  // namespace

int main(int count, char** words) {
    const std::size_t size = count == 3 ? std::strtoul(words[2], nullptr, 10) : 0;
    if (size < kHeaders.size() || size > 65549) {
        std::fputs("blast INTERFACE BYTES (54 to 65549)\n", stderr);
        return 2;
    }
    const int fd = open_socket(words[1]);
    std::vector<std::uint8_t> frame = make_frame(size);
    iovec part{frame.data(), frame.size()};
    std::array<mmsghdr, kBatch> messages{};
    for (mmsghdr& message : messages) {
        message.msg_hdr.msg_iov = &part;
        message.msg_hdr.msg_iovlen = 1;
    }
    for (;;)  // refused while nobody has the tap open
        if (::sendmmsg(fd, messages.data(), messages.size(), 0) < 0)
            ::usleep(1000);
}
