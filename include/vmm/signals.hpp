// SPDX-License-Identifier: Apache-2.0
// What each signal means to `vmm run`. docs/running.md has the same table for users.
//
// Three stages. While the machine is being made, and again while it is being taken down, a signal
// that tells us to end does so at once. While the machine runs, EndRequests hands it to the loop,
// which asks the guest to power off. A fault ends the process at any time: see vmm/faults.hpp.
// Whatever the end, LastSteps are run and the exit code is documented (docs/exit-codes.md).
//
// Spec: signal(7), sigaction(2). A signal that was ignored at exec stays ignored (nohup, a shell's
// background job); one that was blocked at exec is unblocked.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "vmm/event_fd.hpp"

namespace vmm {

enum class SignalUse : std::uint8_t {
    Ends,       ///< tells us to end: exit code 128 + signal
    Fault,      ///< a bug in vmm, or RAM that the host does not have
    Ignored,    ///< costs the write that it is about, or nothing
    Command,    ///< SIGUSR1, see machine/held_signal.hpp
    Kick,       ///< gets a vCPU out of the guest: the hypervisor's
    ByDefault,  ///< left to the kernel, or to the terminal (job control, its size)
    Unseen,     ///< no program can have it
};
SignalUse use_of(int signal) noexcept;

/// "SIGTERM", "SIGRTMIN+3".
std::string signal_name(int signal);

/// Makes the table true for this process, in the stage "being made". Once, on the main thread,
/// before there are others.
void own_signals() noexcept;

/// While this lives the machine runs: requests to end wait for the loop. Because a loop that hangs
/// takes none, the third unanswered one ends the process all the same.
/// At most one. Threads: the main thread, whose signals these are.
class EndRequests {
public:
    static Result<std::unique_ptr<EndRequests>> create();
    ~EndRequests();
    EndRequests(const EndRequests&) = delete;
    EndRequests& operator=(const EndRequests&) = delete;

    struct Request {
        int signal = 0;  ///< the first that came
        unsigned times = 0;
    };
    int fd() const noexcept { return wake_.fd(); }  ///< readable when take() has something
    std::optional<Request> take() noexcept;

private:
    explicit EndRequests(EventFd wake);

    EventFd wake_;
};

}  // namespace vmm
