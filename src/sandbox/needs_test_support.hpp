// SPDX-License-Identifier: Apache-2.0
// What an act needs that is really done in a confined process, and what such an act is.
#pragma once

#include <fcntl.h>
#include <linux/if.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ostream>
#include <string>
#include <utility>

#include "vmm/call_rule.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::sandbox {

/// Descriptors as a machine has them, and a link in a folder that goes with the test.
struct Stage {
    explicit Stage(const std::string& folder) : link{folder + "/link"} {
        std::array<int, 2> two{};
        if (::pipe2(two.data(), O_CLOEXEC | O_NONBLOCK) == 0)
            pipe_out = UniqueFd{two[0]}, pipe_in = UniqueFd{two[1]};
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, two.data()) == 0)
            near = UniqueFd{two[0]}, far = UniqueFd{two[1]};
        std::array<char, 64> name{};
        if (::grantpt(pty.get()) == 0 && ::unlockpt(pty.get()) == 0 &&
            ::ptsname_r(pty.get(), name.data(), name.size()) == 0)
            terminal = UniqueFd{::open(name.data(), O_RDWR | O_NOCTTY)};
        [[maybe_unused]] const auto filled = ::pwrite(file.get(), "0123456789abcdef", 16, 0);
        [[maybe_unused]] const auto linked = ::symlink("target", link.c_str());
        epoll_event ready{.events = EPOLLIN, .data = {.u64 = 7}};
        ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &ready);
        listen_for_client();
    }

    std::string link;
    UniqueFd event{::eventfd(1, EFD_NONBLOCK)};  // signalled once
    UniqueFd epoll{::epoll_create1(0)};          // has it
    UniqueFd pipe_out, pipe_in, near, far, terminal;
    UniqueFd pty{::posix_openpt(O_RDWR | O_NOCTTY)};
    UniqueFd file{::memfd_create("disk", 0)};
    UniqueFd timer{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)};
    UniqueFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    UniqueFd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    UniqueFd self{static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))};

private:
    void listen_for_client() const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;  // the kernel chooses an abstract name
        socklen_t size = sizeof address.sun_family;
        auto* const any = reinterpret_cast<sockaddr*>(&address);
        ::bind(listener.get(), any, size);
        ::listen(listener.get(), 1);
        size = sizeof address;
        ::getsockname(listener.get(), any, &size);
        ::connect(client.get(), any, size);
    }
};

/// What a kind of thread does in a machine that runs, so that its filter has to let it through.
struct Need {
    const char* where;  ///< of the program
    calls::Threads threads;
    long call;
    std::array<std::uint64_t, 6> arguments{};
    /// Does it, and tells whether it had its result. Null: it is made as it stands here, with -1
    /// for a descriptor that is not there, and has to fail with `error`.
    bool (*works)(const Stage& stage) = nullptr;
    int error = 0;

    friend void PrintTo(const Need& need, std::ostream* out) { *out << need.where; }
};

inline constexpr std::uint64_t kNoFile = UINT64_MAX;

/// One whose device is not here: that it reaches the kernel counts.
constexpr Need unanswered_ioctl(const char* where, calls::Threads threads, std::uint64_t request) {
    return {.where = where,
            .threads = threads,
            .call = SYS_ioctl,
            .arguments = {kNoFile, request},
            .works = nullptr,
            .error = EBADF};
}

}  // namespace vmm::sandbox
