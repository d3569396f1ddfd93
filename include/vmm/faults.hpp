// SPDX-License-Identifier: Apache-2.0
// Synchronous signals: the process says what happened and where, puts the host right (LastStep)
// and dies of the signal, so that a core file shows the place. A confined thread may not touch
// files, so the main thread does the last steps for it. One of them may be the host's:
// SIGBUS in memory whose backing has run dry ends with exit code 1 and says what to do.
//
// Spec: signal(7), sigaction(2) for si_code, sigaltstack(2).
#pragma once

#include <csignal>
#include <cstddef>
#include <span>
#include <string>

#include "vmm/static_list.hpp"

namespace vmm {

/// Part of own_signals(). A handler that is there already stays (a sanitizer's).
void handle_fault(int signal) noexcept;

/// What a fault of a system call that a filter refused is told with: gives a call's name, or null.
/// Async-signal-safe.
using CallName = const char* (*)(int number) noexcept;
void name_calls_by(CallName name) noexcept;

/// Fills `set` with all signals but those that use_of() calls faults: a thread that blocks one of
/// these would die of it without a word.
void block_asynchronous(sigset_t& set) noexcept;

/// Lets the calling thread's faults be handled even if they come of its stack's end. To be the
/// first variable of a thread. Costs a mapping that is not touched; without memory for it there is
/// none.
class FaultStack {
public:
    FaultStack() noexcept;
    ~FaultStack();
    FaultStack(const FaultStack&) = delete;
    FaultStack& operator=(const FaultStack&) = delete;

private:
    void* room_ = nullptr;
};

/// Memory that is mapped from something that can run dry or shrink.
class BackedMemory : public Listed<BackedMemory> {
public:
    /// `what` names it ("guest RAM from the file X"), `help` says in a sentence what to do.
    BackedMemory(std::span<const std::byte> memory, std::string what, std::string help);
    ~BackedMemory() { delist(); }

    bool contains(const void* address) const noexcept;
    const std::string& what() const noexcept { return what_; }
    const std::string& help() const noexcept { return help_; }

private:
    std::span<const std::byte> memory_;
    std::string what_;
    std::string help_;
};

}  // namespace vmm
