// SPDX-License-Identifier: Apache-2.0
// A signal as something to read: it interrupts nobody and ends nothing, whenever it comes.
//
// signalfd(2). Threads: create() on the main thread before there are others, which then leave the
// signal alone as well; take() on the thread of the loop.
#pragma once

#include "vmm/error.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::machine {

class HeldSignal {
public:
    /// The calling thread, and those it makes from here on, block `signal`. They do so even when
    /// this has gone: what comes during the last steps of a process is too late, not fatal.
    static Result<HeldSignal> create(int signal);

    int fd() const noexcept { return fd_.get(); }  ///< readable while it is pending
    bool take() const noexcept;                    ///< whether it came since the last time

private:
    explicit HeldSignal(UniqueFd fd) : fd_{std::move(fd)} {}

    UniqueFd fd_;
};

}  // namespace vmm::machine
