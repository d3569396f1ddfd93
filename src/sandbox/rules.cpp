// SPDX-License-Identifier: Apache-2.0
// Spec: seccomp(2), the manual page of each call.
#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "vmm/call_rule.hpp"

namespace vmm::calls {
namespace {

// What glibc's pthread_create() asks clone() for.
constexpr std::uint32_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                       CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

// Whatever clock it waits by, and whether or not another process could wait there, too.
constexpr Rule futex(std::uint32_t operation, std::string_view why) {
    constexpr std::uint32_t kFlags = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
    const Condition is_operation{.argument = 1, .mask = ~kFlags, .value = operation};
    return {.call = "futex", .threads = kAll, .why = why, .conditions = {is_operation}};
}

constexpr Rule prctl(std::uint32_t option, Threads threads, std::string_view why) {
    return {.call = "prctl", .threads = threads, .why = why, .conditions = {is(0, option)}};
}

constexpr Rule not_on_arm(std::string_view call, Threads threads, std::string_view why) {
    return {.call = call, .threads = threads, .why = why, .where = Where::NotOnArm};
}

constexpr auto kRules = std::array{
    // ---- Every thread: its own memory, waiting, messages, and its end.

    Rule{"read", kMain | kVcpu | kIo | kHelper, "eventfds, and what is read in order"},
    Rule{"preadv2", kVcpu | kIo | kPool, "eventfds, where nothing may wait; disks, likewise"},
    Rule{"write", kAll, "eventfds (interrupts, wake-ups), consoles, messages"},
    Rule{"close", kMain | kBlock | kNet | kHelper,
         "a ring that is given up, a device that is freed"},
    Rule{"sendto", kVcpu | kIo | kHelper, "consoles and messages that go to a socket"},
    not_on_arm("poll", kAll, "is there room for a message?"),
    Rule{"ppoll", kAll, "the same where there is no poll"},
    Rule{"mmap", kAll, "memory; never code", {lacks(2, PROT_EXEC)}},
    Rule{"mprotect", kAll, "the allocator's heap; never code", {lacks(2, PROT_EXEC)}},
    Rule{"munmap", kAll, "memory"},
    Rule{"mremap", kAll, "realloc()"},
    Rule{"madvise", kAll, "stacks of threads that end; RAM at a reset"},
    Rule{"brk", kAll, "the allocator's heap"},
    futex(FUTEX_WAIT, "mutexes, joins"),
    futex(FUTEX_WAKE, "mutexes, condition variables"),
    futex(FUTEX_WAIT_BITSET, "condition variables, waits with a limit"),
    Rule{"sched_yield", kAll, "the C library, in short waits"},
    Rule{"clock_gettime", kAll, "the time, where the vDSO has no clock"},
    Rule{"clock_nanosleep", kAll, "short waits"},
    Rule{"getpid", kAll, "whose signal is it?"},
    Rule{"gettid", kAll, "log records, abort()"},
    Rule{"epoll_ctl", kIo, "what a loop waits for"},
    Rule{"rt_sigprocmask", kAll, "around signals, and at a thread's end"},
    Rule{"rt_sigaction", kAll, "a fault's handler steps back"},
    Rule{"rt_sigreturn", kAll, "the end of a handler"},
    Rule{"sigaltstack", kAll, "the stack of a fault's handler goes with its thread"},
    Rule{"tgkill", kAll, "kicks, abort(); to this process only", {is(0, kOwnProcess)}},
    Rule{"kill", kMain, "a terminal's stop, which stops this process only", {is(0, kOwnProcess)}},
    Rule{"restart_syscall", kAll, "the kernel's own, after a stop"},
    prctl(PR_GET_NAME, kAll, "a fault's message names its thread"),
    ioctl(TCGETS, kMain, "raw, and as it was"),
    ioctl(TCSETS, kMain, "raw, and as it was"),
    ioctl(TIOCGPGRP, kMain, "is the terminal ours?"),
    not_on_arm("getpgrp", kMain, "is the terminal ours?"),
    Rule{"getpgid", kMain, "the same where there is no getpgrp"},
    Rule{"exit", kAll, "a thread's end"},
    Rule{"exit_group", kAll, "the end"},

    // ---- What a guest's register access makes of the machine; hv/kvm/call_rules.cpp has KVM's
    // part.

    Rule{"timerfd_settime", kVcpu | ThreadKind::ConsoleIo,
         "when the loop writes a console's output"},

    // ---- I/O threads.

    Rule{"epoll_wait", kIo, "what comes next", {}, Answer::Allow, Where::NotOnArm},
    Rule{"epoll_pwait", kIo, "the same where there is no epoll_wait"},
    Rule{"epoll_pwait2", kNet, "with a limit of less than a millisecond"},
    Rule{"recvfrom", kMain | kNet, "consoles' sockets; passt, the link's state"},
    Rule{"getrandom", ThreadKind::EntropyIo, "entropy; the kernel's addresses and seed at a reset"},

    Rule{"pread64", kBlock | kPool, "disks; payloads at a reset"},
    Rule{"pwrite64", kBlock | kPool, "disks"},
    Rule{"pwritev2", kBlock | kPool, "disks, with or without a flush"},
    Rule{"fdatasync", kBlock | kPool, "a driver's flush"},
    Rule{"fallocate", kBlock | kPool, "discard, write zeroes; RAM in a file at a reset"},
    ioctl(BLKDISCARD, kBlock | kPool, "discard on a block device"),
    ioctl(BLKZEROOUT, kBlock | kPool, "write zeroes on a block device"),
    ioctl(BLKGETSIZE64, kHelper, "the size of a block device"),
    Rule{"newfstatat",
         kBlock | kPool | kHelper,
         "the size of a file that is open",
         {is(3, AT_EMPTY_PATH)}},
    Rule{"newfstatat", kMain, "the same, and whether a socket's file is still ours"},
    Rule{"fstat", kBlock | kPool | kHelper, "the size of a file that is open"},
    Rule{"io_uring_enter", kBlock | kNet, "a ring that the main thread has restricted"},
    Rule{"io_uring_register",
         kBlock | kNet,
         "enables that ring and takes it over",
         {is(1, IORING_REGISTER_ENABLE_RINGS)}},
    Rule{"io_uring_setup", kBlock | kNet, "threads do it without a ring", {}, Answer::Forbidden},

    Rule{"readv", kNet, "frames from a tap"},
    Rule{"writev", kNet, "frames to a tap"},
    Rule{"sendmsg", kNet, "frames to passt"},
    ioctl(TUNSETOFFLOAD, kNet, "what the driver takes"),
    ioctl(TUNSETQUEUE, kNet, "queues that the driver uses"),
    ioctl(SIOCGIFFLAGS, kNet, "is the link up?"),
    ioctl(SIOCGIFMTU, kNet, "the link's MTU"),
    Rule{"wait4", kNet | kHelper, "how did passt end?"},
    Rule{"pidfd_send_signal", kHelper, "passt is to end"},

    // ---- The main thread: the loop, consoles, threads, reset and end.

    Rule{"clone3",
         kMain,
         "its flags are in memory, where a filter cannot see them",
         {},
         Answer::NotThere},
    Rule{"clone", kMain, "threads, and nothing else", {is(0, kThreadFlags)}},
    Rule{"set_robust_list", kMain, "a new thread's start"},
    Rule{"rseq", kMain, "a new thread's start"},
    prctl(PR_SET_NAME, kMain, "a new thread's start"),
    prctl(PR_SET_TIMERSLACK, kMain, "a new I/O thread's start"),
    Rule{"seccomp",
         kMain,
         "a new thread's filter, which can only take",
         {is(0, SECCOMP_SET_MODE_FILTER), is(1, SECCOMP_FILTER_FLAG_SPEC_ALLOW)}},
    Rule{"sched_getaffinity", kMain, "where may threads run?"},
    Rule{"prlimit64", kMain, "stacks of threads; advice on limits"},
    Rule{"geteuid", kMain, "advice on limits"},
    Rule{"accept4", kMain, "a console's socket"},
    Rule{"shutdown", kHelper, "passt is to end"},
    Rule{"fcntl", kMain, "is it non-blocking?"},
    Rule{"epoll_create1", kMain, "the loop of a new device"},
    Rule{"eventfd2", kMain, "a new device's queues and vectors; looks at disks"},
    ioctl(FIONBIO, kMain, "what the loop has not waited for before"),
    ioctl(FIONREAD, kMain, "has the pty's reader taken everything?"),
    ioctl(TIOCGWINSZ, kMain, "the size of a terminal"),
    not_on_arm("readlink", kMain, "is a pty's link still ours?"),
    Rule{"readlinkat", kMain, "the same where there is no readlink"},
    not_on_arm("unlink", kMain, "files of sockets, links, the process id"),
    Rule{"unlinkat", kMain, "the same where there is no unlink"},
};

}  // namespace

std::span<const Rule> common_rules() {
    return kRules;
}

}  // namespace vmm::calls
