// SPDX-License-Identifier: Apache-2.0
// What threads of any kind need of Linux: memory, locks, messages, their end.
#pragma once

#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "sandbox/needs_test_support.hpp"

namespace vmm::sandbox {

using calls::kAll;
using calls::kBlock;
using calls::kHelper;
using calls::kIo;
using calls::kMain;
using calls::kNet;
using calls::kPool;
using calls::kVcpu;
inline constexpr calls::Threads kConsole{ThreadKind::ConsoleIo};
inline constexpr calls::Threads kEntropy{ThreadKind::EntropyIo};

inline constexpr std::uint64_t kAnyMemory = MAP_PRIVATE | MAP_ANONYMOUS;
inline constexpr std::uint64_t kReadWrite = PROT_READ | PROT_WRITE;

inline void* map_some() noexcept {
    return ::mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

inline bool reads_event(const Stage& stage) noexcept {
    std::uint64_t count = 0;
    return ::read(stage.event.get(), &count, sizeof count) == 8 && count == 1;
}

inline bool drains_event(const Stage& stage) noexcept {
    std::uint64_t count = 0;
    const iovec to{.iov_base = &count, .iov_len = sizeof count};
    return ::preadv2(stage.event.get(), &to, 1, -1, RWF_NOWAIT) == 8 && count == 1;
}

inline bool sleeps_shortly(const Stage&) noexcept {
    const timespec nap{.tv_sec = 0, .tv_nsec = 1000};
    return ::nanosleep(&nap, nullptr) == 0;
}

inline volatile sig_atomic_t g_handled = 0;

/// As a thread kicks another, and as it goes on after that.
inline bool signals_itself(const Stage&) noexcept {
    struct sigaction ours {};
    ours.sa_handler = [](int) { g_handled = 1; };
    return ::sigaction(SIGUSR2, &ours, nullptr) == 0 &&
           ::syscall(SYS_tgkill, ::getpid(), ::gettid(), SIGUSR2) == 0 && g_handled == 1;
}

inline bool waits_for_a_while(std::uint64_t operation) noexcept {
    const std::uint32_t word = 1;
    timespec limit{.tv_sec = 0, .tv_nsec = 1000};  // for WAIT_BITSET a time that has gone by
    return ::syscall(SYS_futex, &word, operation, 1, &limit, nullptr, ~0u) < 0 &&
           errno == ETIMEDOUT;
}

inline const auto kNeedsEverywhere = std::to_array<Need>({
    {"VectorSlot: what came while masked", kVcpu, SYS_read, {}, reads_event},
    {"Worker::wait_for_kick()", kIo, SYS_read, {}, reads_event},
    {"DiskSizes::run()", kHelper, SYS_read, {}, reads_event},
    {"HeldSignal::take(), terminals", kMain, SYS_read, {}, reads_event},
    {"EventFd::drain() when a vector is unmasked", kVcpu, SYS_preadv2, {}, drains_event},
    {"Worker::wait_for_command()", kIo, SYS_preadv2, {}, drains_event},
    {"KernelBlockCalls::read() of several pieces",
     kBlock | kPool,
     SYS_preadv2,
     {},
     [](const Stage& stage) {
         std::array<char, 4> bytes{};
         const std::array<iovec, 2> to{iovec{&bytes[0], 2}, {&bytes[2], 2}};
         return ::preadv2(stage.file.get(), to.data(), 2, 4, 0) == 4 && bytes[3] == '7';
     }},
    {"EventFd::signal()",
     kAll,
     SYS_write,
     {},
     [](const Stage& stage) {
         const std::uint64_t one = 1;
         return ::write(stage.event.get(), &one, sizeof one) == 8;
     }},
    {"a ring that is given up, passt's descriptors, devices that are freed",
     kMain | kBlock | kNet | kHelper,
     SYS_close,
     {},
     [](const Stage& stage) { return ::close(stage.event.get()) == 0; }},
    {"HostStream::write() to a socket: messages, consoles",
     kVcpu | kIo | kHelper,
     SYS_sendto,
     {},
     [](const Stage& stage) {
         return ::send(stage.near.get(), "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
     }},
    {"LastWords::say()",
     kAll,
     SYS_poll,
     {},
     [](const Stage& stage) {
         pollfd asked{.fd = stage.pipe_in.get(), .events = POLLOUT, .revents = 0};
         return ::poll(&asked, 1, 0) == 1;
     }},
    {"poll() of aarch64",
     kAll,
     SYS_ppoll,
     {},
     [](const Stage& stage) {
         pollfd asked{.fd = stage.pipe_in.get(), .events = POLLOUT, .revents = 0};
         const timespec now{};
         return ::ppoll(&asked, 1, &now, nullptr) == 1;
     }},
    {"large blocks of the allocator",
     kAll,
     SYS_mmap,
     {0, 4096, kReadWrite, kAnyMemory, kNoFile, 0},
     [](const Stage&) { return map_some() != MAP_FAILED; }},
    {"the allocator where brk() fails, stacks",
     kAll,
     SYS_mprotect,
     {0, 4096, kReadWrite},
     [](const Stage&) { return ::mprotect(map_some(), 4096, PROT_READ | PROT_WRITE) == 0; }},
    {"large blocks of the allocator, when they are freed",
     kAll,
     SYS_munmap,
     {},
     [](const Stage&) { return ::munmap(map_some(), 1 << 16) == 0; }},
    {"realloc() of the C library's own",
     kAll,
     SYS_mremap,
     {},
     [](const Stage&) {
         return ::mremap(map_some(), 1 << 16, 1 << 20, MREMAP_MAYMOVE) != MAP_FAILED;
     }},
    {"a thread's stack at its end, RAM at a reset",
     kAll,
     SYS_madvise,
     {},
     [](const Stage&) { return ::madvise(map_some(), 4096, MADV_DONTNEED) == 0; }},
    {"the allocator: one heap for all threads (M_ARENA_MAX)",
     kAll,
     SYS_brk,
     {},
     [](const Stage&) { return ::syscall(SYS_brk, 0) > 0; }},
    {"locks, joins",
     kAll,
     SYS_futex,
     {0, FUTEX_WAIT_PRIVATE},
     [](const Stage&) { return waits_for_a_while(FUTEX_WAIT_PRIVATE); }},
    {"the end of a thread, which pthread_join() waits for",
     kAll,
     SYS_futex,
     {0, FUTEX_WAIT},
     [](const Stage&) { return waits_for_a_while(FUTEX_WAIT); }},
    {"locks, condition variables",
     kAll,
     SYS_futex,
     {0, FUTEX_WAKE_PRIVATE},
     [](const Stage&) {
         const std::uint32_t word = 0;
         return ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1) == 0;
     }},
    {"condition variables with a limit, by the wall clock or not",
     kAll,
     SYS_futex,
     {0, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME},
     [](const Stage&) {
         return waits_for_a_while(FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME);
     }},
    {"std::latch, ChannelOutput::lose_waiting(), the C library",
     kAll,
     SYS_sched_yield,
     {},
     [](const Stage&) { return ::sched_yield() == 0; }},
    {"clocks on a host whose vDSO has none",
     kAll,
     SYS_clock_gettime,
     {CLOCK_MONOTONIC},
     [](const Stage&) {
         timespec now{};
         return ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) == 0 && now.tv_sec > 0;
     }},
    {"rest_a_moment() of a fault's handler", kAll, SYS_clock_nanosleep, {}, sleeps_shortly},
    {"on_fault(): whose signal was it?",
     kAll,
     SYS_getpid,
     {},
     [](const Stage&) { return ::getpid() > 0; }},
    {"on_main_thread()", kAll, SYS_gettid, {}, [](const Stage&) { return ::gettid() > 0; }},
    {"raise(), and a thread's end",
     kAll,
     SYS_rt_sigprocmask,
     {},
     [](const Stage&) {
         sigset_t now;
         return ::pthread_sigmask(SIG_BLOCK, nullptr, &now) == 0;
     }},
    {"on_fault() steps back",
     kAll,
     SYS_rt_sigaction,
     {},
     [](const Stage&) { return ::signal(SIGUSR2, SIG_DFL) != SIG_ERR; }},
    {"the end of a kick's or a fault's handler", kAll, SYS_rt_sigreturn, {}, signals_itself},
    {"~FaultStack()",
     kAll,
     SYS_sigaltstack,
     {},
     [](const Stage&) {
         const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
         return ::sigaltstack(&none, nullptr) == 0;
     }},
    {"Runner::kick(), run_last_steps(), raise()",
     kAll,
     SYS_tgkill,
     {calls::kOwnProcess, 1, SIGUSR2},
     signals_itself},
    {"the kernel, for a wait that SIGSTOP came into",
     kAll,
     SYS_restart_syscall,
     {},
     nullptr,
     EINTR},
    {"add_thread() of a fault's message",
     kAll,
     SYS_prctl,
     {PR_GET_NAME},
     [](const Stage&) {
         std::array<char, 16> name{};
         return ::prctl(PR_GET_NAME, name.data()) == 0 && name[0] != 0;
     }},
    {"a thread's end",
     kAll,
     SYS_exit,
     {},
     [](const Stage&) -> bool {
         ::syscall(SYS_exit, 0);
         return false;
     }},
    {"end_without(): the host has no page",
     kAll,
     SYS_exit_group,
     {},
     [](const Stage&) -> bool { ::_exit(0); }},
});

}  // namespace vmm::sandbox
