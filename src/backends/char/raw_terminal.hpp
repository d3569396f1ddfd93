// SPDX-License-Identifier: Apache-2.0
// A terminal in raw mode that is given back as it was, whatever ends the process.
//
// Spec: termios(3), tty_ioctl(4). Raw means: every key goes to the guest, also Ctrl-C and Ctrl-Z.
// Output processing stays on, so that our own messages start at the left edge.
// Given back by the destructor, by exit(3), as a LastStep when a signal ends the process, and while
// it is stopped (SIGTSTP). Not on SIGKILL and SIGSTOP, which no process sees coming.
#pragma once

#include <memory>

#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/last_step.hpp"

namespace vmm {

/// At most one at a time. Threads: the loop's; the signal handlers run on any.
class RawTerminal {
public:
    /// What signals brought since it was last asked.
    struct Changes {
        bool continued = false;  ///< the user brought us back to the foreground
        bool resized = false;
    };

    /// Remembers the modes and watches the signals. `fd`, and `changed`, which is signalled when
    /// take_changes() has news, must outlive this.
    /// Fails when `fd` is not a terminal, and when there is another object.
    static Result<std::unique_ptr<RawTerminal>> create(int fd, const EventFd& changed);

    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    ~RawTerminal();

    /// Raw from now on, or from when the process is brought to the foreground by SIGCONT. A shell
    /// sends none to a job that runs: to be called again once foreground() says so. Has no effect
    /// once the LastSteps have run.
    void enter() noexcept;
    void leave() noexcept;

    Changes take_changes() noexcept;

    /// May we read it without being stopped for it (SIGTTIN)?
    bool foreground() const noexcept;

private:
    RawTerminal();

    LastStep give_back_;
};

}  // namespace vmm
