// SPDX-License-Identifier: Apache-2.0
#include "backends/char/raw_terminal.hpp"

#include <sys/types.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "vmm/thread.hpp"

namespace vmm {
namespace {

// What the signal handlers need. They can only reach static data, and there is one terminal.
struct Shared {
    int fd = -1;
    int notify = -1;  // an eventfd
    termios before{};
    termios raw{};
    std::atomic<bool> taken{false};
    std::atomic<bool> wanted{false};  // raw whenever we are in the foreground
    std::atomic<bool> is_raw{false};
    std::atomic<bool> changing{false};  // a thread makes it raw
    std::atomic<bool> over{false};      // the process ends: never again raw
    std::atomic<bool> continued{false};
    std::atomic<bool> resized{false};
};
Shared g_terminal;

bool in_foreground(int fd) {
    const pid_t group = ::tcgetpgrp(fd);
    // Not our controlling terminal: job control has no say.
    return group < 0 || group == ::getpgrp();
}

// All below runs in signal handlers too: async-signal-safe calls only.

void set_modes(const termios& modes) {
    // A process in the background would be stopped for changing the terminal.
    sigset_t block;
    sigset_t old;
    ::sigemptyset(&block);
    ::sigaddset(&block, SIGTTOU);
    ::pthread_sigmask(SIG_BLOCK, &block, &old);
    ::tcsetattr(g_terminal.fd, TCSANOW, &modes);
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

void remember(const termios& before) {
    g_terminal.before = before;
    g_terminal.raw = before;
    ::cfmakeraw(&g_terminal.raw);
    g_terminal.raw.c_oflag |= OPOST;
}

void go_raw() {
    g_terminal.changing = true;
    if (!g_terminal.over && g_terminal.wanted && in_foreground(g_terminal.fd) &&
        !g_terminal.is_raw.exchange(true))
        set_modes(g_terminal.raw);
    g_terminal.changing = false;
}

void give_back() {
    if (g_terminal.is_raw.exchange(false))
        set_modes(g_terminal.before);
}

// Another thread may be about to make it raw. It is waited for, but not for ever: a fault may have
// come in the middle of that, in the same thread.
void give_back_for_good() {
    constexpr timespec kTick{.tv_sec = 0, .tv_nsec = 1'000'000};
    constexpr int kMostTicks = 100;
    g_terminal.over = true;
    for (int i = 0; i < kMostTicks && g_terminal.changing; ++i)
        ::nanosleep(&kTick, nullptr);
    give_back();
}

void tell_loop(std::atomic<bool>& what) {
    what.store(true);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(g_terminal.notify, &one, sizeof one);
}

void on_stop(int) {
    const int kept = errno;
    give_back();
    ::kill(::getpid(), SIGSTOP);
    errno = kept;
}

void on_continue(int) {
    const int kept = errno;
    go_raw();
    tell_loop(g_terminal.continued);
    errno = kept;
}

void on_resize(int) {
    const int kept = errno;
    tell_loop(g_terminal.resized);
    errno = kept;
}

using Handler = void (*)(int);

/// Leaves a signal alone that somebody else handles or ignores.
void handle(int signal, Handler handler) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 ||
        now.sa_handler != SIG_DFL)
        return;
    struct sigaction ours {};
    ours.sa_handler = handler;
    ours.sa_flags = SA_RESTART | SA_ONSTACK;
    ::sigaction(signal, &ours, nullptr);
}

void unhandle(int signal, Handler handler) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
        now.sa_handler == handler)
        ::signal(signal, SIG_DFL);
}

void give_back_at_exit() {
    static const int once = std::atexit(give_back);
    static_cast<void>(once);
}

}  // namespace

Result<std::unique_ptr<RawTerminal>> RawTerminal::create(int fd, const EventFd& changed) {
    termios before{};
    if (::tcgetattr(fd, &before) != 0)
        return std::unexpected(Error::os("tcgetattr", errno));
    if (g_terminal.taken.exchange(true))
        return std::unexpected(
            Error{ErrorKind::Config, "another console uses the terminal already"}.hint(
                "Give only one of them to the terminal, and a pty or a file to the others."));

    g_terminal.fd = fd;
    g_terminal.notify = changed.fd();
    remember(before);
    g_terminal.continued = false;
    g_terminal.resized = false;
    g_terminal.over = false;

    give_back_at_exit();
    handle(SIGTSTP, on_stop);
    handle(SIGCONT, on_continue);
    handle(SIGWINCH, on_resize);
    return std::unique_ptr<RawTerminal>{new RawTerminal};
}

RawTerminal::RawTerminal()
    : give_back_{[](const void*) noexcept { give_back_for_good(); }, nullptr} {}

RawTerminal::~RawTerminal() {
    unhandle(SIGWINCH, on_resize);
    unhandle(SIGCONT, on_continue);
    unhandle(SIGTSTP, on_stop);
    leave();
    g_terminal.taken = false;
}

void RawTerminal::enter() noexcept {
    const SignalsBlocked quiet;
    // What the shell left there, not what it had there while we were in the background.
    termios now{};
    if (!g_terminal.is_raw && foreground() && ::tcgetattr(g_terminal.fd, &now) == 0)
        remember(now);
    g_terminal.wanted = true;
    go_raw();
}

void RawTerminal::leave() noexcept {
    g_terminal.wanted = false;
    give_back();
}

RawTerminal::Changes RawTerminal::take_changes() noexcept {
    return {.continued = g_terminal.continued.exchange(false),
            .resized = g_terminal.resized.exchange(false)};
}

bool RawTerminal::foreground() const noexcept {
    return in_foreground(g_terminal.fd);
}

}  // namespace vmm
