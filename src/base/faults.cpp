// SPDX-License-Identifier: Apache-2.0
#include "vmm/faults.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "vmm/last_step.hpp"
#include "vmm/last_words.hpp"
#include "vmm/signals.hpp"

namespace vmm {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{500};  // with whoever reads standard error
constexpr int kHostFailed = 1;          // exit code
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
    if (ending.exchange(true))  // another thread is at it
        for (;;)
            ::pause();
    LastStep::run_all();
    if (signal == SIGBUS && info->si_code > 0)
        BackedMemory::find([&](const BackedMemory& memory) {
            if (memory.contains(info->si_addr))
                end_without(memory, *info);
            return false;
        });
    say_what(signal, *info);
    ::signal(signal, SIG_DFL);
    ::raise(signal);  // delivered when this handler returns, to the place of the fault
}

}  // namespace

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
