// SPDX-License-Identifier: Apache-2.0
#include "vmm/faults.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <ctime>
#include <utility>

#include "vmm/last_step.hpp"
#include "vmm/last_words.hpp"
#include "vmm/signals.hpp"
#include "vmm/thread.hpp"

namespace vmm {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{500};  // with whoever reads standard error
constexpr milliseconds kStepsAtMost{1000};
constexpr int kBySeccomp = 1;   // si_code, SYS_SECCOMP
constexpr int kHostFailed = 1;  // exit code
// Several times what the registers of AVX-512 take, and enough for AMX.
constexpr std::size_t kFaultStackSize = std::size_t{32} * 1024;

void add_thread(LastWords& words) noexcept {
    std::array<char, 16> name{};
    if (::prctl(PR_GET_NAME, name.data()) == 0)
        words.add(" in thread ").add(name.data());
}

// Without AddressSanitizer, here and in on_fault(): before a call that does not return it cleans
// the stack up, and allocates for that, which a handler must not do.
[[noreturn, gnu::no_sanitize_address]] void end_without(const BackedMemory& memory,
                                                        const siginfo_t& info) noexcept {
    LastWords words;
    words.add("error: The host has no page for ").add(memory.what());
    words.add(info.si_code == BUS_MCEERR_AR ? ": a memory error of the hardware" : "");
    words.add(" (SIGBUS at address 0x").add(std::bit_cast<std::uintptr_t>(info.si_addr), 16);
    add_thread(words);
    words.add(").\n  help: ").add(memory.help()).add("\n").say(kPatience);
    ::_exit(kHostFailed);
}

// The main thread's part in the fault of another one.
struct StepsForOthers {
    std::atomic<bool> wanted{false};
    std::atomic<bool> done{false};

    void serve() noexcept {
        if (wanted.exchange(false)) {
            LastStep::run_all();
            done = true;
        }
    }
};
StepsForOthers g_steps;
CallName g_call_name = nullptr;

bool on_main_thread() noexcept {
    return ::gettid() == ::getpid();
}

void rest_a_moment() noexcept {
    constexpr timespec kMoment{.tv_sec = 0, .tv_nsec = 1'000'000};
    ::nanosleep(&kMoment, nullptr);
}

// Another thread is at it: the main thread may be wanted for its steps.
[[noreturn]] void stand_by() noexcept {
    for (;;) {
        if (on_main_thread())
            g_steps.serve();
        rest_a_moment();
    }
}

void run_last_steps() noexcept {
    if (on_main_thread() || !threads_are_confined())
        return LastStep::run_all();
    g_steps.wanted = true;
    ::syscall(SYS_tgkill, ::getpid(), ::getpid(), SIGSYS);
    // The main thread may be where no signal reaches it: in the kernel, waiting for a host's disk.
    for (auto left = kStepsAtMost; left > milliseconds{0} && !g_steps.done; left -= milliseconds{1})
        rest_a_moment();
}

void say_refused(const siginfo_t& info) noexcept {
    const char* const name = g_call_name != nullptr ? g_call_name(info.si_syscall) : nullptr;
    LastWords words;
    words.add("vmm: died of SIGSYS");
    add_thread(words);
    words.add(": it made the system call ").add(name != nullptr ? name : "with the number");
    words.add(" (").add(static_cast<unsigned>(info.si_syscall)).add(") at address 0x");
    words.add(std::bit_cast<std::uintptr_t>(info.si_call_addr), 16);
    words
        .add(
            ", which its filter does not allow: this is a bug in vmm, or a guest has broken into "
            "it\n  help: Report this line, as SECURITY.md says; --seccomp log lets the call "
            "pass.\n")
        .say(kPatience);
}

void say_what(int signal, const siginfo_t& info) noexcept {
    LastWords words;
    words.add("vmm: died of SIG").add(::sigabbrev_np(signal));
    if (info.si_code > 0)
        words.add(" at address 0x").add(std::bit_cast<std::uintptr_t>(info.si_addr), 16);
    else if (info.si_pid != ::getpid())
        words.add(" sent by process ").add(static_cast<unsigned>(info.si_pid));
    add_thread(words);
    if (info.si_code > 0 || info.si_pid == ::getpid())
        words.add(": this is a bug in vmm");
    words.add("\n").say(kPatience);
}

[[gnu::no_sanitize_address]] void on_fault(int signal, siginfo_t* info, void*) {
    static std::atomic<bool> ending{false};
    if (ending.exchange(true))
        stand_by();
    run_last_steps();
    if (signal == SIGBUS && info->si_code > 0)
        BackedMemory::find([&](const BackedMemory& memory) {
            if (memory.contains(info->si_addr))
                end_without(memory, *info);
            return false;
        });
    if (signal == SIGSYS && info->si_code == kBySeccomp)
        say_refused(*info);
    else
        say_what(signal, *info);
    ::signal(signal, SIG_DFL);
    ::raise(signal);  // delivered when this handler returns, to the place of the fault
}

}  // namespace

void name_calls_by(CallName name) noexcept {
    g_call_name = name;
}

void handle_fault(int signal) noexcept {
    struct sigaction now {};
    ::sigaction(signal, nullptr, &now);
    if ((now.sa_flags & SA_SIGINFO) != 0 ||
        (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN))
        return;
    struct sigaction ours {};
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&ours.sa_mask);
    ::sigaction(signal, &ours, nullptr);
}

void block_asynchronous(sigset_t& set) noexcept {
    sigfillset(&set);
    for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS})
        sigdelset(&set, fault);
}

FaultStack::FaultStack() noexcept {
    stack_t before{};
    ::sigaltstack(nullptr, &before);
    if ((before.ss_flags & SS_DISABLE) == 0)  // a sanitizer's
        return;
    void* const room = ::mmap(nullptr, kFaultStackSize, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (room == MAP_FAILED)
        return;
    room_ = room;
    const stack_t ours{.ss_sp = room, .ss_flags = 0, .ss_size = kFaultStackSize};
    ::sigaltstack(&ours, nullptr);
}

FaultStack::~FaultStack() {
    if (room_ == nullptr)
        return;
    const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    ::sigaltstack(&none, nullptr);
    ::munmap(room_, kFaultStackSize);
}

BackedMemory::BackedMemory(std::span<const std::byte> memory, std::string what, std::string help)
    : memory_{memory}, what_{std::move(what)}, help_{std::move(help)} {
    enlist();
}

bool BackedMemory::contains(const void* address) const noexcept {
    const auto at = std::bit_cast<std::uintptr_t>(address);
    const auto first = std::bit_cast<std::uintptr_t>(memory_.data());
    return at - first < memory_.size();
}

}  // namespace vmm
