// SPDX-License-Identifier: Apache-2.0
// What one may ask of a running machine. Keys on the terminal, signals and whoever else has a say
// bring the same commands.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "vmm/error.hpp"

namespace vmm::machine {

struct NewDevice;

enum class Command : std::uint8_t {
    PowerButton,   ///< asks the guest to power off; done when it was asked
    Reset,         ///< as at a machine's reset button; done when the guest runs again
    Pause,         ///< done when no vCPU runs and no device changes the guest's RAM
    Resume,        ///< refused unless it is paused
    Quit,          ///< the machine ends without a word to the guest
    RecheckDisks,  ///< they may have other sizes now; in any state; done when all have been asked
};

/// Called once for each command, when it is done or cannot be done, on the thread that asked, from
/// inside ask() or later. One that the end of the machine overtakes has none.
using Answer = std::move_only_function<void(const Result<>&)>;

enum class Removal : std::uint8_t {
    WithConsent,  ///< the guest is asked to let the device go, and may take its time
    AtOnce,       ///< as if somebody pulled the card
};

/// Threads: the machine's main thread.
class Commands {
public:
    virtual ~Commands() = default;

    virtual void ask(Command command, Answer answer) = 0;

    // Devices of a running or paused machine. Internal: no flag and no key brings these yet.

    /// Done when the guest can find it. See NewDevice for what has to outlive the call.
    virtual void add_device(NewDevice device, Answer answer) = 0;
    /// Done when nothing of it is left on the host. Its requests end or are cancelled as in a
    /// reset; if that takes longer than the configuration's stop_timeout, the answer is an error,
    /// the guest has lost the device all the same, and the rest goes when the host lets it.
    virtual void remove_device(std::string id, Removal how, Answer answer) = 0;

    /// For those who have nobody to tell.
    void ask(Command command) {
        ask(command, [](const Result<>&) {});
    }
};

}  // namespace vmm::machine
