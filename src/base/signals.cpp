// SPDX-License-Identifier: Apache-2.0
#include "vmm/signals.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "vmm/faults.hpp"
#include "vmm/last_step.hpp"
#include "vmm/last_words.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm {
namespace {

constexpr int kSignalExit = 128;
constexpr unsigned kMostUnanswered = 2;

// What the handler needs: it can only reach static data.
struct Shared {
    std::atomic<int> wake{-1};  // an eventfd; -1: no loop takes requests
    std::atomic<bool> ran{false};
    std::atomic<int> first{0};
    std::atomic<unsigned> times{0};
};
Shared g_requests;

/// Async-signal-safe, unlike signal_name().
void add_name(LastWords& words, int signal) noexcept {
    if (const char* const name = ::sigabbrev_np(signal))
        words.add("SIG").add(name);
    else
        words.add("signal ").add(static_cast<unsigned>(signal));
}

// Without AddressSanitizer, here and in on_end(): before a call that does not return it cleans the
// stack up, and allocates for that, which a handler must not do.
[[noreturn, gnu::no_sanitize_address]] void end_at_once(int signal) noexcept {
    LastStep::run_all();
    LastWords words;
    words.add("vmm: ended by ");
    add_name(words, signal);
    if (g_requests.wake >= 0)
        words.add(": it did not answer");
    else if (g_requests.ran)
        words.add(" while the machine was being taken down");
    else
        words.add(" while the machine was being started");
    words.add("\n").say(std::chrono::milliseconds{0});
    ::_exit(kSignalExit + signal);
}

[[gnu::no_sanitize_address]] void on_end(int signal) {
    const int kept = errno;
    const int wake = g_requests.wake;
    if (wake < 0 || g_requests.times.fetch_add(1) >= kMostUnanswered)
        end_at_once(signal);
    int none = 0;
    g_requests.first.compare_exchange_strong(none, signal);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake, &one, sizeof one);
    errno = kept;
}

void handle_end(int signal) noexcept {
    struct sigaction ours {};
    struct sigaction before {};
    ours.sa_handler = on_end;
    ours.sa_flags = SA_RESTART | SA_ONSTACK;
    block_asynchronous(ours.sa_mask);
    ::sigaction(signal, &ours, &before);
    if (before.sa_handler == SIG_IGN)  // as nohup or a shell wanted it
        ::sigaction(signal, &before, nullptr);
}

}  // namespace

SignalUse use_of(int signal) noexcept {
    switch (signal) {
        case SIGSEGV:
        case SIGBUS:
        case SIGILL:
        case SIGFPE:
        case SIGABRT:
        case SIGTRAP:
        case SIGSYS:
            return SignalUse::Fault;
        case SIGPIPE:  // a reader that has gone is an error of write(2)
        case SIGXFSZ:  // and so is a file at its limit
            return SignalUse::Ignored;
        case SIGUSR1:
            return SignalUse::Command;
        case SIGCHLD:
        case SIGCONT:
        case SIGTSTP:
        case SIGTTIN:
        case SIGTTOU:
        case SIGURG:
        case SIGWINCH:
            return SignalUse::ByDefault;
        case SIGKILL:
        case SIGSTOP:
            return SignalUse::Unseen;
        default:
            break;
    }
    const int first_realtime = SIGRTMIN;
    if (signal == first_realtime)
        return SignalUse::Kick;
    // Those between belong to the C library.
    if (signal <= 0 || signal > SIGRTMAX || (signal > SIGSYS && signal < first_realtime))
        return SignalUse::Unseen;
    return SignalUse::Ends;
}

std::string signal_name(int signal) {
    if (const char* const name = ::sigabbrev_np(signal))
        return cat("SIG", name);
    if (signal >= SIGRTMIN && signal <= SIGRTMAX)
        return signal == SIGRTMIN ? "SIGRTMIN" : cat("SIGRTMIN+", signal - SIGRTMIN);
    return cat("signal ", signal);
}

void own_signals() noexcept {
    sigset_t all;
    sigset_t open;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &open);
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
        switch (use_of(signal)) {
            case SignalUse::Ends:
                handle_end(signal);
                sigdelset(&open, signal);
                break;
            case SignalUse::Fault:
                handle_fault(signal);
                sigdelset(&open, signal);
                break;
            case SignalUse::Ignored:
            case SignalUse::Command:  // of no meaning before a machine is there to take it
            case SignalUse::Kick:     // nor this, before there is a vCPU
                ::signal(signal, SIG_IGN);
                break;
            case SignalUse::ByDefault:
            case SignalUse::Unseen:
                break;
        }
    ::pthread_sigmask(SIG_SETMASK, &open, nullptr);
}

Result<std::unique_ptr<EndRequests>> EndRequests::create() {
    auto wake = VMM_TRY(EventFd::create());
    return std::unique_ptr<EndRequests>{new EndRequests{std::move(wake)}};
}

EndRequests::EndRequests(EventFd wake) : wake_{std::move(wake)} {
    g_requests.first = 0;
    g_requests.times = 0;
    g_requests.ran = true;
    g_requests.wake = wake_.fd();
}

EndRequests::~EndRequests() {
    g_requests.wake = -1;
}

std::optional<EndRequests::Request> EndRequests::take() noexcept {
    const SignalsBlocked together;  // the two belong together, and the handler changes both
    wake_.drain();
    const Request request{.signal = g_requests.first.exchange(0),
                          .times = g_requests.times.exchange(0)};
    return request.times == 0 ? std::nullopt : std::optional{request};
}

}  // namespace vmm
