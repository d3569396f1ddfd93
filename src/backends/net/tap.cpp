// SPDX-License-Identifier: Apache-2.0
#include "backends/net/tap.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/net/frame_batch.hpp"
#include "vmm/direct_calls.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

// Newer than Debian 12's headers.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace vmm {
namespace {

constexpr const char* kDevice = "/dev/net/tun";
constexpr std::string_view kAnyName = "vmtap%d";
constexpr short kFlags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

// From most to least; older kernels refuse as a whole what they do not know.
constexpr auto kOffloadSets = std::array{
    FrameOffloads{true, true, true, true, true, true},
    FrameOffloads{true, true, true, true, true, false},
    FrameOffloads{true, true, true, true, false, false},
    FrameOffloads{true, false, false, false, false, false},
};

unsigned long tun_bits(FrameOffloads offloads) {
    if (!offloads.checksum)
        return 0;
    return TUN_F_CSUM | (offloads.tso4 ? TUN_F_TSO4 : 0ul) | (offloads.tso6 ? TUN_F_TSO6 : 0ul) |
           (offloads.ecn && (offloads.tso4 || offloads.tso6) ? TUN_F_TSO_ECN : 0ul) |
           (offloads.ufo ? TUN_F_UFO : 0ul) | (offloads.uso ? TUN_F_USO4 | TUN_F_USO6 : 0ul);
}

class TapChannel final : public FrameChannel {
public:
    explicit TapChannel(UniqueFd fd) : fd_{std::move(fd)}, short_frames_{fd_.get()} {}

    int fd() const noexcept override { return fd_.get(); }

    // A list of one piece costs the kernel more than no list.
    FrameIo receive(std::span<const iovec> to) noexcept override {
        const FrameIo io =
            to.size() == 1
                ? move([&] { return direct::read(fd_.get(), to[0].iov_base, to[0].iov_len); })
                : move([&] { return ::readv(fd_.get(), to.data(), static_cast<int>(to.size())); });
        // Errors other than these two come without a frame: waiting is better than asking again.
        if (io.status == FrameIo::Status::Dropped)
            return {.status = FrameIo::Status::Again};
        return io;
    }
    FrameIo send(std::span<const iovec> frame) noexcept override {
        const bool keep = frame.size() == 1 && frame[0].iov_len <= FrameBatch::kLongest;
        if (!short_frames_.empty() && (!keep || short_frames_.full())) {
            const auto before = short_frames_.send();
            if (before != FrameIo::Status::Done)
                return {.status = before};
        }
        if (keep) {
            short_frames_.add({static_cast<const std::byte*>(frame[0].iov_base), frame[0].iov_len});
            return {FrameIo::Status::Kept, frame[0].iov_len};
        }
        if (frame.size() == 1)
            return move(
                [&] { return direct::write(fd_.get(), frame[0].iov_base, frame[0].iov_len); });
        return move(
            [&] { return ::writev(fd_.get(), frame.data(), static_cast<int>(frame.size())); });
    }
    FrameIo flush() noexcept override {
        return {.status = short_frames_.send(), .lost = short_frames_.take_lost()};
    }

    void prepare() noexcept { short_frames_.prepare(); }

    void attach(bool on) noexcept {
        if (std::exchange(attached_, on) == on)
            return;
        ifreq request{};
        request.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
        if (::ioctl(fd_.get(), TUNSETQUEUE, &request) != 0)
            log::debug("TUNSETQUEUE: errno ", errno);
    }

private:
    template <class Call>
    FrameIo move(Call call) noexcept {
        ssize_t done = 0;
        do {
            done = call();
        } while (done < 0 && errno == EINTR);
        if (done < 0)
            return tap_failure(errno);
        return {FrameIo::Status::Done, static_cast<std::size_t>(done)};
    }

    UniqueFd fd_;
    FrameBatch short_frames_;
    bool attached_ = true;
};

/// Requests about an interface by its name. Any socket will do.
class Interface {
public:
    static Result<Interface> open(std::string name) {
        UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        if (!socket)
            return std::unexpected(Error::os("socket", errno));
        return Interface{std::move(socket), std::move(name)};
    }
    const std::string& name() const { return name_; }

    bool exists() const {
        ifreq request = ask();
        return ::ioctl(socket_.get(), SIOCGIFINDEX, &request) == 0;
    }
    int index() const {
        ifreq request = ask();
        return ::ioctl(socket_.get(), SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
    }
    bool up() const {
        ifreq request = ask();
        return ::ioctl(socket_.get(), SIOCGIFFLAGS, &request) == 0 &&
               (request.ifr_flags & IFF_UP) != 0;
    }
    std::optional<std::uint16_t> mtu() const {
        ifreq request = ask();
        if (::ioctl(socket_.get(), SIOCGIFMTU, &request) != 0 || request.ifr_mtu < 68 ||
            request.ifr_mtu > 0xffff)
            return std::nullopt;
        return static_cast<std::uint16_t>(request.ifr_mtu);
    }
    Result<> bring_up() const {
        ifreq request = ask();
        if (::ioctl(socket_.get(), SIOCGIFFLAGS, &request) != 0)
            return std::unexpected(Error::os("SIOCGIFFLAGS", errno));
        request.ifr_flags |= IFF_UP;
        if (::ioctl(socket_.get(), SIOCSIFFLAGS, &request) != 0)
            return std::unexpected(Error::os("SIOCSIFFLAGS", errno));
        return {};
    }
    Result<> set_mtu(std::uint16_t to) const {
        ifreq request = ask();
        request.ifr_mtu = to;
        if (mtu() == to || ::ioctl(socket_.get(), SIOCSIFMTU, &request) == 0)
            return {};
        const int why = errno;
        auto error =
            Error::os("SIOCSIFMTU", why).context(cat("set the MTU of ", name_, " to ", to));
        if (why == EINVAL)  // 65535 less an Ethernet header
            return std::unexpected(
                std::move(error).as(ErrorKind::Config).hint("A tap takes an MTU of 68 to 65521."));
        return std::unexpected(std::move(error).hint(
            cat("Let an administrator do it: ip link set dev ", name_, " mtu ", to)));
    }

private:
    Interface(UniqueFd socket, std::string name)
        : socket_{std::move(socket)}, name_{std::move(name)} {}

    ifreq ask() const {
        ifreq request{};
        name_.copy(request.ifr_name, IFNAMSIZ - 1);
        return request;
    }

    UniqueFd socket_;
    std::string name_;
};

class Tap final : public NetBackend {
public:
    /// `interface` is empty for one that may be in another network namespace.
    Tap(std::vector<UniqueFd> fds, std::optional<Interface> interface, FrameOffloads offloads)
        : interface_{std::move(interface)}, offloads_{offloads} {
        for (UniqueFd& fd : fds)
            channels_.push_back(std::make_unique<TapChannel>(std::move(fd)));
        // prepare() left them on; who comes first may not want them.
        set_offloads({});
        if (interface_)
            follow_link();
    }

    void prepare() noexcept override {
        for (const auto& channel : channels_)
            channel->prepare();
    }
    std::size_t channels() const noexcept override { return channels_.size(); }
    FrameChannel& channel(std::size_t index) noexcept override { return *channels_.at(index); }
    FrameOffloads takes() const noexcept override { return offloads_; }
    FrameOffloads gives() const noexcept override { return offloads_; }

    void use(FrameOffloads offloads) noexcept override { set_offloads(offloads); }
    void activate(std::size_t count) noexcept override {
        for (std::size_t i = 0; i < channels_.size(); ++i)
            channels_[i]->attach(i < count);
    }
    std::optional<std::uint16_t> mtu() const noexcept override {
        return interface_ ? interface_->mtu() : std::nullopt;
    }
    int link_fd() const noexcept override { return link_.get(); }
    bool link_up() noexcept override {
        drain_link();
        return !interface_ || interface_->up();
    }

    std::string why_gone() override {
        return interface_ ? cat("tap ", interface_->name(), " was deleted") : "its tap was deleted";
    }

private:
    void set_offloads(FrameOffloads offloads) noexcept {
        if (::ioctl(channels_[0]->fd(), TUNSETOFFLOAD, tun_bits(offloads)) != 0)
            log::debug("TUNSETOFFLOAD: errno ", errno);
    }
    // News of interfaces from the kernel. Without them the guest sees a link that stays as it is.
    void follow_link() {
        link_ =
            UniqueFd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)};
        sockaddr_nl address{};
        address.nl_family = AF_NETLINK;
        address.nl_groups = RTMGRP_LINK;
        if (!link_ ||
            ::bind(link_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            link_ = {};
    }
    // What happened is asked for anew; the news only say that something did.
    void drain_link() noexcept {
        std::array<char, 4096> news{};
        while (link_ && (::recv(link_.get(), news.data(), news.size(), 0) >= 0 || errno == EINTR ||
                         errno == ENOBUFS)) {
        }
    }

    std::optional<Interface> interface_;
    FrameOffloads offloads_;
    std::vector<std::unique_ptr<TapChannel>> channels_;
    UniqueFd link_;
};

// Headers of 12 bytes, and what the kernel can do; the guest decides later what is used.
Result<FrameOffloads> prepare(const UniqueFd& fd) {
    int header_size = FrameHeader::kSize;
    if (::ioctl(fd.get(), TUNSETVNETHDRSZ, &header_size) != 0)
        return std::unexpected(Error::os("TUNSETVNETHDRSZ", errno));
    for (const FrameOffloads offloads : kOffloadSets)
        if (::ioctl(fd.get(), TUNSETOFFLOAD, tun_bits(offloads)) == 0)
            return offloads;
    return FrameOffloads{};
}

Result<UniqueFd> open_device() {
    UniqueFd fd{::open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    if (fd)
        return fd;
    Error error = Error::os("open", errno).context(kDevice);
    if (error.os_error() == ENOENT || error.os_error() == ENODEV)
        return std::unexpected(
            std::move(error).hint("Load the kernel module: modprobe tun. In a container, pass the "
                                  "device in, or use --net user."));
    if (error.os_error() == EACCES || error.os_error() == EPERM)
        return std::unexpected(std::move(error).hint(
            "Get access to the device, or use --net user, which needs none."));
    return std::unexpected(std::move(error));
}

Error refused(int error, const TapOptions& options, bool existed) {
    Error cause = Error::os("TUNSETIFF", error);
    const std::string queues = options.queues > 1 ? " multi_queue" : "";
    const std::string make =
        cat("sudo ip tuntap add ", options.name.empty() ? "tap0" : options.name,
            " mode tap user $USER", queues);
    if (error == EBUSY)
        return std::move(cause).hint(
            "Another process uses it: end that one, or name another interface.");
    if (error == EPERM && existed)
        return std::move(cause).hint(cat("It belongs to another user. Make one of your own (", make,
                                         "), or use --net user."));
    if (error == EPERM)
        return std::move(cause).hint(
            cat("Making an interface needs CAP_NET_ADMIN. Let an administrator do it: ", make,
                " && sudo ip link set ", options.name.empty() ? "tap0" : options.name,
                " up; or use --net user, which needs no privileges."));
    if (error == EINVAL && existed && options.queues > 1)
        return std::move(cause).hint(
            cat("It is not a tap, or one with a single queue. Make it anew (", make,
                "), or ask for num_queues=2."));
    if (error == EINVAL && existed)
        return Error{ErrorKind::Config, "the interface exists and is not a tap"}.hint(
            "Name a tap interface, or one that does not exist yet.");
    return cause;
}

/// Attaches `fd` to the interface `name`, which comes back as the kernel wrote it.
int set_interface(const UniqueFd& fd, std::string& name, short flags) {
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = flags;
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0)
        return errno;
    name = request.ifr_name;
    return 0;
}

Result<std::vector<UniqueFd>> attach(std::string& name, const TapOptions& options, bool existed) {
    std::vector<UniqueFd> fds;
    short flags = static_cast<short>(kFlags | (options.queues > 1 ? IFF_MULTI_QUEUE : 0));
    for (std::size_t i = 0; i < options.queues; ++i) {
        fds.push_back(VMM_TRY(open_device()));
        int error = set_interface(fds.back(), name, flags);
        if (error == EINVAL && existed && options.queues == 1) {
            // It may have been made for several queues.
            flags = static_cast<short>(kFlags | IFF_MULTI_QUEUE);
            error = set_interface(fds.back(), name, flags);
        }
        if (error != 0)
            return std::unexpected(refused(error, options, existed));
    }
    return fds;
}

Result<std::unique_ptr<NetBackend>> open_named(const TapOptions& options) {
    if (options.name.size() >= IFNAMSIZ)
        return std::unexpected(
            Error{ErrorKind::Config, "the name is too long for an interface"}.hint(
                cat("Interface names have at most ", IFNAMSIZ - 1, " bytes.")));
    std::string name{options.name.empty() ? kAnyName : std::string_view{options.name}};
    auto before = VMM_TRY(Interface::open(name));
    const bool existed = before.exists();
    auto fds = VMM_TRY(attach(name, options, existed));
    auto interface = VMM_TRY(Interface::open(name));
    FrameOffloads offloads{};
    for (const UniqueFd& fd : fds)
        offloads = VMM_TRY(prepare(fd));
    if (options.mtu)
        VMM_TRY(interface.set_mtu(*options.mtu));
    if (!existed)
        VMM_TRY(interface.bring_up());
    log::info("tap ", name, existed ? " opened" : " made");
    if (!interface.up())
        log::warn("tap ", name, " is down: the guest sees no link until ip link set ", name, " up");
    return std::make_unique<Tap>(std::move(fds), std::move(interface), offloads);
}

Result<FrameOffloads> adopt(const UniqueFd& fd) {
    ifreq request{};
    if (::ioctl(fd.get(), TUNGETIFF, &request) != 0)
        return std::unexpected(
            Error{ErrorKind::Config, "it is not a tap that is attached to an interface"}.hint(
                "Open /dev/net/tun, attach it with TUNSETIFF, and pass the descriptor on."));
    if ((request.ifr_flags & IFF_TAP) == 0)
        return std::unexpected(
            Error{ErrorKind::Config, cat(request.ifr_name, " is a tun, not a tap")}.hint(
                "Attach it with IFF_TAP."));
    if ((request.ifr_flags & IFF_VNET_HDR) == 0 || (request.ifr_flags & IFF_NO_PI) == 0)
        return std::unexpected(
            Error{ErrorKind::Config,
                  cat(request.ifr_name, " does not have the virtio header in front of frames")}
                .hint("Attach it with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR."));
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
        ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0)
        return std::unexpected(Error::os("fcntl", errno));
    return prepare(fd);
}

}  // namespace

Result<std::unique_ptr<NetBackend>> open_tap(const TapOptions& options) {
    return VMM_TRY_OR(open_named(options), options.name.empty()
                                               ? std::string{"make a tap"}
                                               : cat("tap \"", options.name, "\""));
}

Result<std::unique_ptr<NetBackend>> adopt_tap(std::span<const std::uint32_t> numbers) {
    std::vector<UniqueFd> fds;
    FrameOffloads offloads{};
    for (const std::uint32_t number : numbers) {
        UniqueFd fd{static_cast<int>(number)};
        if (::fcntl(fd.get(), F_GETFD) < 0) {
            [[maybe_unused]] const int nothing = fd.release();
            return std::unexpected(Error::os("fcntl", EBADF)
                                       .as(ErrorKind::Config)
                                       .context(cat("tap descriptor ", number))
                                       .hint("Name descriptors that the program is started with."));
        }
        offloads = VMM_TRY_OR(adopt(fd), cat("tap descriptor ", number));
        fds.push_back(std::move(fd));
    }
    if (fds.empty())
        return std::unexpected(Error{ErrorKind::Config, "there is no tap descriptor"});
    return std::make_unique<Tap>(std::move(fds), std::nullopt, offloads);
}

}  // namespace vmm
