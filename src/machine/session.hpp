// SPDX-License-Identifier: Apache-2.0
// Runs one virtual machine from start to end: the life cycle around a Machine.
#pragma once

#include <functional>
#include <memory>

#include "config/vm_config.hpp"
#include "machine/command.hpp"
#include "machine/consoles.hpp"
#include "machine/lifecycle.hpp"
#include "machine/platform.hpp"
#include "sandbox/options.hpp"
#include "vmm/error.hpp"

namespace vmm::machine {

/// Is called once, from the thread of run(), when the guest has started. Its failure ends the
/// machine. The commands are there until run() returns.
using Started = std::function<Result<>(Commands&)>;

/// Ends the process with that outcome, at once and without returning: a device whose host does not
/// answer still works, and whatever would end it in order would wait for it. Called from the thread
/// of run().
using Leave = std::function<void(Outcome)>;

using MakePlatform = std::function<Result<std::unique_ptr<Platform>>(const VmConfig&)>;

/// `config` has been validated. Returns when the guest has ended or the user has ended it; an
/// error means that the machine could not be set up, or that the host failed it.
/// Call from the main thread, before any other thread exists, after own_signals(). Takes SIGUSR1
/// for good. The sandbox is entered once the machine is made, before threads of a guest start.
Result<Outcome> run(const VmConfig& config, const Tell& tell, const Started& started,
                    const Leave& leave, const sandbox::Options& sandbox = {},
                    const MakePlatform& make = make_platform);

}  // namespace vmm::machine
