// SPDX-License-Identifier: Apache-2.0
// What one kind of thread or another needs of Linux: devices, consoles, threads, reset and end.
#pragma once

#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include <string_view>

#include "sandbox/needs_everywhere_test_support.hpp"

namespace vmm::sandbox {

inline constexpr std::uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                              CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                              CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

inline constexpr std::uint64_t kNoRing = 1 << 30;  // -1 has a meaning of its own there

inline bool waits_for_event(const Stage& stage) noexcept {
    epoll_event got{};
    return ::epoll_wait(stage.epoll.get(), &got, 1, -1) == 1 && got.data.u64 == 7;
}

inline bool knows_size(const Stage& stage) noexcept {
    struct stat status {};
    return ::fstat(stage.file.get(), &status) == 0 && status.st_size == 16;
}

inline bool makes_thread(const Stage&) {
    bool ran = false;
    auto made = make_thread({.kind = ThreadKind::BlockIo, .name = "io-disk0"}, [&] { ran = true; });
    if (made)
        made->join();
    return ran;
}

template <unsigned long request>
bool knows_of_loopback(const Stage& stage) noexcept {
    ifreq asked{};
    std::string_view{"lo"}.copy(asked.ifr_name, IFNAMSIZ - 1);
    return ::ioctl(stage.near.get(), request, &asked) == 0;
}

inline const auto kNeedsOfIo = std::to_array<Need>({
    {"ChannelOutput::write(): of the serial device, of a console's port",
     kVcpu | kConsole,
     SYS_timerfd_settime,
     {},
     [](const Stage& stage) {
         const itimerspec when{.it_interval = {}, .it_value = {.tv_sec = 1, .tv_nsec = 0}};
         return ::timerfd_settime(stage.timer.get(), 0, &when, nullptr) == 0;
     }},
    {"Worker::wait()", kIo, SYS_epoll_wait, {}, waits_for_event},
    {"epoll_wait() of aarch64",
     kIo,
     SYS_epoll_pwait,
     {},
     [](const Stage& stage) {
         epoll_event got{};
         return ::epoll_pwait(stage.epoll.get(), &got, 1, -1, nullptr) == 1;
     }},
    {"Worker::call_after(): a rest of the network device",
     kNet,
     SYS_epoll_pwait2,
     {},
     [](const Stage& stage) {
         epoll_event got{};
         const timespec limit{.tv_sec = 0, .tv_nsec = 1000};
         return ::epoll_pwait2(stage.epoll.get(), &got, 1, &limit, nullptr) == 1;
     }},
    {"Worker::watch(), rewatch(), unwatch()",
     kIo,
     SYS_epoll_ctl,
     {},
     [](const Stage& stage) {
         return ::epoll_ctl(stage.epoll.get(), EPOLL_CTL_DEL, stage.event.get(), nullptr) == 0;
     }},
    {"ChannelInput::read() of a socket; FrameStream::read_more(), Tap::drain_link()",
     kMain | kNet,
     SYS_recvfrom,
     {},
     [](const Stage& stage) {
         char byte = 0;
         return ::write(stage.far.get(), "x", 1) == 1 &&
                ::recv(stage.near.get(), &byte, 1, MSG_DONTWAIT) == 1 && byte == 'x';
     }},
    {"HostEntropy::fill(): the entropy device; the kernel at a reset",
     kEntropy,
     SYS_getrandom,
     {},
     [](const Stage&) {
         std::array<char, 16> chance{};
         return ::getrandom(chance.data(), chance.size(), 0) == 16;
     }},
    {"KernelBlockCalls::read()",
     kBlock | kPool,
     SYS_pread64,
     {},
     [](const Stage& stage) {
         char byte = 0;
         return ::pread(stage.file.get(), &byte, 1, 5) == 1 && byte == '5';
     }},
    {"KernelBlockCalls::write()",
     kBlock | kPool,
     SYS_pwrite64,
     {},
     [](const Stage& stage) { return ::pwrite(stage.file.get(), "xx", 2, 14) == 2; }},
    {"KernelBlockCalls::write() of several pieces, or durable; write_cached()",
     kBlock | kPool,
     SYS_pwritev2,
     {},
     [](const Stage& stage) {
         char byte = 'x';
         const iovec from{.iov_base = &byte, .iov_len = 1};
         return ::pwritev2(stage.file.get(), &from, 1, 15, RWF_DSYNC) == 1;
     }},
    {"KernelBlockCalls::flush()",
     kBlock | kPool,
     SYS_fdatasync,
     {},
     [](const Stage& stage) { return ::fdatasync(stage.file.get()) == 0; }},
    {"KernelBlockCalls::fallocate(); RAM in a file at a reset",
     kBlock | kPool,
     SYS_fallocate,
     {},
     [](const Stage& stage) {
         constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
         char byte = 'x';
         return ::fallocate(stage.file.get(), kPunch, 0, 16) == 0 &&
                ::preadv2(stage.file.get(), std::array{iovec{&byte, 1}}.data(), 1, 3, 0) == 1 &&
                byte == 0;
     }},
    unanswered_ioctl("BlockIo::discard()", kBlock | kPool, BLKDISCARD),
    unanswered_ioctl("BlockIo::write_zeroes()", kBlock | kPool, BLKZEROOUT),
    unanswered_ioctl("size_of(): DiskSizes", kHelper, BLKGETSIZE64),
    {"KernelBlockCalls::size(), size_of(): DiskSizes",
     kBlock | kPool | kHelper,
     SYS_newfstatat,
     {0, 0, 0, AT_EMPTY_PATH},
     knows_size},
    {"fstat() of a C library other than Debian 12's",
     kBlock | kPool | kHelper,
     SYS_fstat,
     {},
     [](const Stage& stage) {
         struct stat status {};
         return ::syscall(SYS_fstat, stage.file.get(), &status) == 0 && status.st_size == 16;
     }},
    {"BlockRing, FrameBatch", kBlock | kNet, SYS_io_uring_enter, {kNoFile}, nullptr, EBADF},
    {"enable_ring()",
     kBlock | kNet,
     SYS_io_uring_register,
     {kNoRing, IORING_REGISTER_ENABLE_RINGS},
     nullptr,
     EBADF},
    {"BlockFileQueue::ring_usable(), FrameBatch::enable_ring() where none is prepared",
     kBlock | kNet,
     SYS_io_uring_setup,
     {8},
     nullptr,
     EPERM},
    {"TapChannel::receive()",
     kNet,
     SYS_readv,
     {},
     [](const Stage& stage) {
         char byte = 0;
         const iovec to{.iov_base = &byte, .iov_len = 1};
         return ::write(stage.pipe_in.get(), "x", 1) == 1 &&
                ::readv(stage.pipe_out.get(), &to, 1) == 1 && byte == 'x';
     }},
    {"TapChannel::send()",
     kNet,
     SYS_writev,
     {},
     [](const Stage& stage) {
         char byte = 'x';
         const iovec from{.iov_base = &byte, .iov_len = 1};
         return ::writev(stage.pipe_in.get(), &from, 1) == 1;
     }},
    {"FrameStream::send()",
     kNet,
     SYS_sendmsg,
     {},
     [](const Stage& stage) {
         char byte = 'x';
         iovec from{.iov_base = &byte, .iov_len = 1};
         msghdr message{};
         message.msg_iov = &from;
         message.msg_iovlen = 1;
         return ::sendmsg(stage.near.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
     }},
    unanswered_ioctl("Tap::use()", kNet, TUNSETOFFLOAD),
    unanswered_ioctl("Tap::activate()", kNet, TUNSETQUEUE),
    {"Tap::link_up()", kNet, SYS_ioctl, {0, SIOCGIFFLAGS}, knows_of_loopback<SIOCGIFFLAGS>},
    {"Tap::mtu()", kNet, SYS_ioctl, {0, SIOCGIFMTU}, knows_of_loopback<SIOCGIFMTU>},
    {"Passt::why_gone(); at a removal ~Child()",
     kNet | kHelper,
     SYS_wait4,
     {},
     [](const Stage&) { return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }},
    {"~Child() at a removal",
     kHelper,
     SYS_pidfd_send_signal,
     {},
     [](const Stage& stage) {
         return ::syscall(SYS_pidfd_send_signal, stage.self.get(), 0, nullptr, 0) == 0;
     }},
    {"~Passt() at a removal",
     kHelper,
     SYS_shutdown,
     {},
     [](const Stage& stage) {
         char byte = 0;
         return ::shutdown(stage.near.get(), SHUT_RDWR) == 0 &&
                ::read(stage.far.get(), &byte, 1) == 0;
     }},
});

inline const auto kNeedsOfMain = std::to_array<Need>({
    {"pthread_create() asks for it first", kMain, SYS_clone3, {}, nullptr, ENOSYS},
    {"make_thread()", kMain, SYS_clone, {kThreadFlags}, makes_thread},
    {"make_thread(): the thread's start", kMain, SYS_set_robust_list, {}, makes_thread},
    {"make_thread(): the thread's start", kMain, SYS_rseq, {}, makes_thread},
    {"make_thread()", kMain, SYS_prctl, {PR_SET_NAME}, makes_thread},
    {"Worker::run()",
     kMain,
     SYS_prctl,
     {PR_SET_TIMERSLACK},
     [](const Stage&) { return ::prctl(PR_SET_TIMERSLACK, 1UL) == 0; }},
    {"confine_this_thread()",
     kMain,
     SYS_seccomp,
     {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW},
     makes_thread},
    {"has_several_processors()",
     kMain,
     SYS_sched_getaffinity,
     {},
     [](const Stage&) {
         cpu_set_t set;
         return ::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0;
     }},
    {"thread_limits(), stacks",
     kMain,
     SYS_prlimit64,
     {},
     [](const Stage&) {
         rlimit limit{};
         return ::getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur > 0;
     }},
    {"thread_limits()",
     kMain,
     SYS_geteuid,
     {},
     [](const Stage&) { return ::geteuid() != UINT32_MAX; }},
    {"Worker::create() of a device that is added",
     kMain,
     SYS_epoll_create1,
     {},
     [](const Stage&) { return ::epoll_create1(EPOLL_CLOEXEC) >= 0; }},
    {"the same; DiskSizes::create() at the first SIGUSR1",
     kMain,
     SYS_eventfd2,
     {},
     [](const Stage&) { return ::eventfd(0, EFD_CLOEXEC) >= 0; }},
    {"on_stop() of a terminal",
     kMain,
     SYS_kill,
     {calls::kOwnProcess},
     [](const Stage&) { return ::kill(::getpid(), 0) == 0; }},
    {"RawTerminal::enter()",
     kMain,
     SYS_ioctl,
     {0, TCGETS},
     [](const Stage& stage) {
         termios modes{};
         return ::tcgetattr(stage.terminal.get(), &modes) == 0;
     }},
    {"RawTerminal::leave()",
     kMain,
     SYS_ioctl,
     {0, TCSETS},
     [](const Stage& stage) {
         termios modes{};
         return ::tcgetattr(stage.terminal.get(), &modes) == 0 &&
                ::tcsetattr(stage.terminal.get(), TCSANOW, &modes) == 0;
     }},
    {"in_foreground(): of a terminal that is not ours",
     kMain,
     SYS_ioctl,
     {0, TIOCGPGRP},
     [](const Stage& stage) { return ::tcgetpgrp(stage.terminal.get()) < 0 && errno == ENOTTY; }},
    {"in_foreground()", kMain, SYS_getpgrp, {}, [](const Stage&) { return ::getpgrp() > 0; }},
    {"getpgrp() of aarch64", kMain, SYS_getpgid, {}, [](const Stage&) { return ::getpgid(0) > 0; }},
    {"SocketChannel::take_client()",
     kMain,
     SYS_accept4,
     {},
     [](const Stage& stage) {
         return ::accept4(stage.listener.get(), nullptr, nullptr, SOCK_CLOEXEC) >= 0;
     }},
    {"SocketChannel::take_client(), PtyChannel::take_back_unread()",
     kMain,
     SYS_fcntl,
     {},
     [](const Stage& stage) {
         return ::fcntl(stage.near.get(), F_DUPFD_CLOEXEC, 3) >= 3 &&
                ::fcntl(stage.terminal.get(), F_SETFL, O_RDWR | O_NONBLOCK) == 0;
     }},
    {"Asio's first wait for a descriptor: Session::await_devices()",
     kMain,
     SYS_ioctl,
     {0, FIONBIO},
     [](const Stage& stage) {
         int on = 1;
         return ::ioctl(stage.event.get(), FIONBIO, &on) == 0;
     }},
    {"PtyChannel::unread_output()",
     kMain,
     SYS_ioctl,
     {0, FIONREAD},
     [](const Stage& stage) {
         int count = -1;
         return ::ioctl(stage.terminal.get(), FIONREAD, &count) == 0 && count == 0;
     }},
    {"terminal_size() of a terminal, of a pty",
     kMain,
     SYS_ioctl,
     {0, TIOCGWINSZ},
     [](const Stage& stage) {
         winsize size{};
         return ::ioctl(stage.terminal.get(), TIOCGWINSZ, &size) == 0;
     }},
    {"OwnFile::remove()",
     kMain,
     SYS_newfstatat,
     {},
     [](const Stage& stage) {
         struct stat status {};
         return ::lstat(stage.link.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
     }},
    {"~TerminalLink()",
     kMain,
     SYS_readlink,
     {},
     [](const Stage& stage) {
         std::array<char, 16> target{};
         return ::readlink(stage.link.c_str(), target.data(), target.size()) == 6;
     }},
    {"readlink() of aarch64",
     kMain,
     SYS_readlinkat,
     {},
     [](const Stage& stage) {
         std::array<char, 16> target{};
         return ::readlinkat(AT_FDCWD, stage.link.c_str(), target.data(), target.size()) == 6;
     }},
    {"~OwnFile(), ~TerminalLink(), the pid file",
     kMain,
     SYS_unlink,
     {},
     [](const Stage& stage) { return ::unlink(stage.link.c_str()) == 0; }},
    {"unlink() of aarch64",
     kMain,
     SYS_unlinkat,
     {},
     [](const Stage& stage) { return ::unlinkat(AT_FDCWD, stage.link.c_str(), 0) == 0; }},
});

}  // namespace vmm::sandbox
