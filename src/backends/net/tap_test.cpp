// SPDX-License-Identifier: Apache-2.0
// Needs /dev/net/tun and the right to make interfaces; says so where it has neither.
#include "backends/net/tap.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <string>
#include <thread>

#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

/// A name that no other test process has.
std::string own_name(const char* what) {
    return std::string{"vt"} + what + std::to_string(::getpid() % 100000);
}

std::string refusal(const TapOptions& options) {
    const auto tap = open_tap(options);
    return tap ? "opened" : tap.error().report();
}

class TapTest : public testing::Test {
protected:
    void SetUp() override {
        const UniqueFd fd{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
        if (!fd)
            GTEST_SKIP() << "there is no /dev/net/tun: " << std::strerror(errno);
        ifreq request{};
        request.ifr_flags = IFF_TAP | IFF_NO_PI;
        if (::ioctl(fd.get(), TUNSETIFF, &request) != 0)
            GTEST_SKIP() << "no right to make a tap: " << std::strerror(errno);
    }

    int about(unsigned long what, ifreq& request, const std::string& name) {
        name.copy(request.ifr_name, IFNAMSIZ - 1);
        return ::ioctl(socket_.get(), what, &request);
    }
    void set_up(const std::string& name, bool up) {
        ifreq request{};
        ASSERT_EQ(about(SIOCGIFFLAGS, request, name), 0);
        request.ifr_flags =
            static_cast<short>(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
        ASSERT_EQ(about(SIOCSIFFLAGS, request, name), 0);
    }
    /// A packet socket on the interface: the host's end of the cable.
    UniqueFd host_end(const std::string& name) {
        UniqueFd fd{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(kProtocol))};
        ifreq request{};
        EXPECT_EQ(about(SIOCGIFINDEX, request, name), 0);
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(kProtocol);
        address.sll_ifindex = request.ifr_ifindex;
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        return fd;
    }
    static bool wait_for(int fd, short events) {
        pollfd p{.fd = fd, .events = events, .revents = 0};
        return ::poll(&p, 1, 2000) == 1;
    }

    static constexpr std::uint16_t kProtocol = 0x88b5;  // for local experiments
    UniqueFd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

std::string test_frame() {
    std::string frame(64, 'x');
    std::memcpy(frame.data(), "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5", 14);
    return frame;
}

TEST_F(TapTest, MadeInterfaceIsUpAndGoesWithUs) {
    const std::string name = own_name("a");
    ifreq request{};
    {
        const auto tap = open_tap({.name = name, .mtu = 1400});
        ASSERT_TRUE(tap) << tap.error().report();
        EXPECT_EQ((*tap)->channels(), 1u);
        EXPECT_EQ((*tap)->mtu(), 1400);
        EXPECT_TRUE((*tap)->link_up());
        EXPECT_TRUE((*tap)->takes().tso4);
        EXPECT_TRUE((*tap)->gives().tso6);
        ASSERT_EQ(about(SIOCGIFFLAGS, request, name), 0);
        EXPECT_NE(request.ifr_flags & IFF_UP, 0);
    }
    EXPECT_NE(about(SIOCGIFINDEX, request, name), 0);
}

TEST_F(TapTest, HostSegmentsAndChecksumsUntilItIsToldNotTo) {
    const std::string name = own_name("s");
    const auto segments = [&] {
        ethtool_value asked{.cmd = ETHTOOL_GTSO, .data = 0};
        ifreq request{};
        request.ifr_data = reinterpret_cast<char*>(&asked);
        EXPECT_EQ(about(SIOCETHTOOL, request, name), 0);
        return asked.data == 0;
    };
    const auto tap = open_tap({.name = name});
    ASSERT_TRUE(tap) << tap.error().report();
    EXPECT_TRUE(segments());

    (*tap)->use({.checksum = true, .tso4 = true});
    EXPECT_FALSE(segments());

    (*tap)->use({});
    EXPECT_TRUE(segments());
}

TEST_F(TapTest, FramesGoBothWays) {
    const std::string name = own_name("b");
    const auto tap = open_tap({.name = name});
    ASSERT_TRUE(tap) << tap.error().report();
    FrameChannel& channel = (*tap)->channel(0);
    const UniqueFd host = host_end(name);
    std::string frame = test_frame();
    FrameHeader header{};

    const std::array<iovec, 2> out{iovec{&header, sizeof header}, {frame.data(), frame.size()}};
    EXPECT_EQ(channel.send(out).status, FrameIo::Status::Done);
    std::array<char, 2048> seen{};
    ASSERT_TRUE(wait_for(host.get(), POLLIN));
    ASSERT_EQ(::recv(host.get(), seen.data(), seen.size(), 0), 64);
    EXPECT_EQ((std::string{seen.data(), 64}), frame);

    ASSERT_EQ(::send(host.get(), frame.data(), frame.size(), 0), 64);
    // Our own protocol is not the only one on a fresh interface.
    std::array<char, 2048> room{};
    const std::array<iovec, 2> in{iovec{room.data(), 20}, {room.data() + 20, room.size() - 20}};
    bool arrived = false;
    while (!arrived && wait_for(channel.fd(), POLLIN)) {
        const FrameIo io = channel.receive(in);
        arrived = io.status == FrameIo::Status::Done &&
                  std::string_view{room.data() + 12, 64} == frame && io.bytes == 76;
    }
    EXPECT_TRUE(arrived);
}

TEST_F(TapTest, EmptyTapSaysAgain) {
    const auto tap = open_tap({.name = own_name("c")});
    ASSERT_TRUE(tap) << tap.error().report();
    std::array<char, 2048> room{};
    const std::array<iovec, 1> in{iovec{room.data(), room.size()}};
    FrameIo io;
    do
        io = (*tap)->channel(0).receive(in);
    while (io.status == FrameIo::Status::Done);
    EXPECT_EQ(io.status, FrameIo::Status::Again);
}

TEST_F(TapTest, SeveralQueuesCanBeSwitchedOffAndOn) {
    const auto tap = open_tap({.name = own_name("d"), .queues = 4});
    ASSERT_TRUE(tap) << tap.error().report();
    ASSERT_EQ((*tap)->channels(), 4u);
    (*tap)->activate(1);
    (*tap)->activate(4);
    FrameHeader header{};
    std::string frame = test_frame();
    const std::array<iovec, 2> out{iovec{&header, sizeof header}, {frame.data(), frame.size()}};
    for (std::size_t i = 0; i < 4; ++i)
        EXPECT_EQ((*tap)->channel(i).send(out).status, FrameIo::Status::Done) << i;
}

TEST_F(TapTest, KernelMayPickTheName) {
    const auto tap = open_tap({});
    ASSERT_TRUE(tap) << tap.error().report();
    EXPECT_TRUE((*tap)->link_up());
}

TEST_F(TapTest, LinkFollowsTheInterface) {
    const std::string name = own_name("e");
    const auto tap = open_tap({.name = name});
    ASSERT_TRUE(tap) << tap.error().report();
    ASSERT_TRUE((*tap)->link_up());

    set_up(name, false);

    EXPECT_TRUE(wait_for((*tap)->link_fd(), POLLIN));
    EXPECT_FALSE((*tap)->link_up());
    set_up(name, true);
    EXPECT_TRUE(wait_for((*tap)->link_fd(), POLLIN));
    EXPECT_TRUE((*tap)->link_up());
}

TEST_F(TapTest, DeletedInterfaceIsGone) {
    const std::string name = own_name("f");
    const auto tap = open_tap({.name = name});
    ASSERT_TRUE(tap) << tap.error().report();
    ASSERT_EQ(std::system(("ip link del " + name).c_str()), 0);

    FrameChannel& channel = (*tap)->channel(0);
    EXPECT_TRUE(wait_for(channel.fd(), 0));  // POLLERR
    std::array<char, 2048> room{};
    const std::array<iovec, 1> in{iovec{room.data(), room.size()}};
    EXPECT_EQ(channel.receive(in).status, FrameIo::Status::Gone);
    FrameHeader header{};
    std::string frame = test_frame();
    const std::array<iovec, 2> out{iovec{&header, sizeof header}, {frame.data(), frame.size()}};
    EXPECT_EQ(channel.send(out).status, FrameIo::Status::Gone);
    EXPECT_FALSE((*tap)->link_up());
}

TEST_F(TapTest, ShortFramesKeptForAMomentArriveInOrder) {
    const std::string name = own_name("k");
    const auto tap = open_tap({.name = name});
    ASSERT_TRUE(tap) << tap.error().report();
    set_up(name, true);
    FrameChannel& channel = (*tap)->channel(0);
    const UniqueFd host = host_end(name);
    std::string whole = std::string(FrameHeader::kSize, '\0') + test_frame();
    const std::array<iovec, 1> out{iovec{whole.data(), whole.size()}};
    unsigned arrived = 0;
    for (unsigned i = 0; i < 2000; ++i) {  // enough for io_uring to be worth it
        std::memcpy(whole.data() + whole.size() - sizeof i, &i, sizeof i);
        ASSERT_EQ(channel.send(out).status, FrameIo::Status::Kept) << i;
        if (i % 50 != 49)
            continue;
        const FrameIo rest = channel.flush();
        ASSERT_EQ(rest.status, FrameIo::Status::Done);
        ASSERT_EQ(rest.lost, 0u);
        for (std::array<char, 2048> seen{}; arrived <= i; ++arrived) {
            ASSERT_TRUE(wait_for(host.get(), POLLIN));
            ASSERT_EQ(::recv(host.get(), seen.data(), seen.size(), 0), 64);
            ASSERT_EQ(std::memcmp(seen.data() + 60, &arrived, sizeof arrived), 0) << arrived;
        }
    }
}

TEST_F(TapTest, DeletedInterfaceIsGoneForFramesThatGoTogether) {
    const std::string name = own_name("g");
    const auto tap = open_tap({.name = name});
    ASSERT_TRUE(tap) << tap.error().report();
    set_up(name, true);
    (*tap)->prepare();
    FrameChannel& channel = (*tap)->channel(0);
    std::string whole = std::string(FrameHeader::kSize, '\0') + test_frame();
    const std::array<iovec, 1> out{iovec{whole.data(), whole.size()}};
    const auto send_some = [&] {
        for (int i = 0; i < 16; ++i)
            EXPECT_EQ(channel.send(out).status, FrameIo::Status::Kept);
        return channel.flush().status;
    };
    for (int batches = 0; batches < 40; ++batches)  // enough for io_uring to be worth it
        ASSERT_EQ(send_some(), FrameIo::Status::Done);
    ASSERT_EQ(std::system(("ip link del " + name).c_str()), 0);

    EXPECT_EQ(send_some(), FrameIo::Status::Gone);
}

TEST_F(TapTest, FrameThatTheKernelRefusesIsDropped) {
    const auto tap = open_tap({.name = own_name("g")});
    ASSERT_TRUE(tap) << tap.error().report();
    FrameHeader header{.flags = 1, .checksum_start = 60000, .checksum_offset = 60000};
    std::string frame = test_frame();
    const std::array<iovec, 2> out{iovec{&header, sizeof header}, {frame.data(), frame.size()}};
    EXPECT_EQ((*tap)->channel(0).send(out).status, FrameIo::Status::Dropped);

    std::string whole{reinterpret_cast<const char*>(&header), sizeof header};
    whole += frame;
    const std::array<iovec, 1> kept{iovec{whole.data(), whole.size()}};
    for (unsigned i = 0; i < 1000; ++i)
        EXPECT_EQ((*tap)->channel(0).send(kept).status, FrameIo::Status::Kept);
    const FrameIo rest = (*tap)->channel(0).flush();
    EXPECT_EQ(rest.status, FrameIo::Status::Done);
    EXPECT_EQ(rest.lost, 1000u);
}

TEST_F(TapTest, BusyTapSaysSo) {
    const std::string name = own_name("h");
    const auto tap = open_tap({.name = name});
    ASSERT_TRUE(tap) << tap.error().report();
    EXPECT_EQ(refusal({.name = name}),
              "error: tap \"" + name +
                  "\": TUNSETIFF: Device or resource busy (errno 16)\n"
                  "  help: Another process uses it: end that one, or name another interface.\n");
}

TEST_F(TapTest, InterfaceOfAnotherKindSaysSo) {
    EXPECT_EQ(refusal({.name = "lo"}),
              "error: tap \"lo\": the interface exists and is not a tap\n"
              "  help: Name a tap interface, or one that does not exist yet.\n");
}

TEST_F(TapTest, DescriptorsAreTakenOver) {
    const std::string name = own_name("i");
    UniqueFd fd{::open("/dev/net/tun", O_RDWR)};
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    ASSERT_EQ(::ioctl(fd.get(), TUNSETIFF, &request), 0);
    const int number = fd.release();

    const std::array numbers{static_cast<std::uint32_t>(number)};
    const auto tap = adopt_tap(numbers);

    ASSERT_TRUE(tap) << tap.error().report();
    EXPECT_TRUE((*tap)->link_up());
    EXPECT_EQ((*tap)->link_fd(), -1);
    EXPECT_EQ(::fcntl(number, F_GETFD), FD_CLOEXEC);
    EXPECT_NE(::fcntl(number, F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(TapTest, DescriptorWithoutHeaderSaysSo) {
    const std::string name = own_name("j");
    UniqueFd fd{::open("/dev/net/tun", O_RDWR)};
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    ASSERT_EQ(::ioctl(fd.get(), TUNSETIFF, &request), 0);
    const std::array numbers{static_cast<std::uint32_t>(fd.release())};
    const auto tap = adopt_tap(numbers);
    ASSERT_FALSE(tap);
    EXPECT_EQ(tap.error().report(),
              "error: tap descriptor " + std::to_string(numbers[0]) + ": " + name +
                  " does not have the virtio header in front of frames\n"
                  "  help: Attach it with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR.\n");
}

TEST_F(TapTest, MtuThatIsTooLargeSaysWhatIsPossible) {
    const std::string name = own_name("m");
    EXPECT_EQ(refusal({.name = name, .mtu = 65522}),
              "error: tap \"" + name + "\": set the MTU of " + name +
                  " to 65522: SIOCSIFMTU: Invalid argument (errno 22)\n"
                  "  help: A tap takes an MTU of 68 to 65521.\n");
    EXPECT_EQ(open_tap({.name = name, .mtu = 65522}).error().kind(), ErrorKind::Config);
    EXPECT_EQ(refusal({.name = name, .mtu = 65521}), "opened");
}

// Capabilities belong to a thread: this one gives one of its own up.
TEST_F(TapTest, WithoutTheCapabilityTheErrorSaysWhatToDo) {
    const std::string name = own_name("k");
    std::string said;
    std::thread{[&] {
        __user_cap_header_struct who{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        __user_cap_data_struct has[2]{};
        ASSERT_EQ(::syscall(SYS_capget, &who, has), 0);
        has[0].effective &= ~(1u << CAP_NET_ADMIN);
        ASSERT_EQ(::syscall(SYS_capset, &who, has), 0);
        said = refusal({.name = name});
    }}.join();
    EXPECT_EQ(said, "error: tap \"" + name +
                        "\": TUNSETIFF: Operation not permitted (errno 1)\n"
                        "  help: Making an interface needs CAP_NET_ADMIN. Let an administrator do "
                        "it: sudo ip tuntap add " +
                        name + " mode tap user $USER && sudo ip link set " + name +
                        " up; or use --net user, which needs no privileges.\n");
}

TEST(TapErrorsTest, NameThatIsTooLongSaysSo) {
    EXPECT_EQ(refusal({.name = "much-too-long-a-name"}),
              "error: tap \"much-too-long-a-name\": the name is too long for an interface\n"
              "  help: Interface names have at most 15 bytes.\n");
}

TEST(TapErrorsTest, DescriptorThatIsNoTapSaysSo) {
    UniqueFd file{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    const std::array numbers{static_cast<std::uint32_t>(file.release())};
    const auto tap = adopt_tap(numbers);
    ASSERT_FALSE(tap);
    EXPECT_EQ(tap.error().kind(), ErrorKind::Config);
    EXPECT_NE(tap.error().report().find("is not a tap"), std::string::npos);
}

TEST(TapErrorsTest, DescriptorThatIsNotOpenSaysSo) {
    const std::array numbers{std::uint32_t{987654}};
    const auto tap = adopt_tap(numbers);
    ASSERT_FALSE(tap);
    EXPECT_EQ(tap.error().report(),
              "error: tap descriptor 987654: fcntl: Bad file descriptor (errno 9)\n"
              "  help: Name descriptors that the program is started with.\n");
}

}  // namespace
}  // namespace vmm
