// SPDX-License-Identifier: Apache-2.0
// How the process ends: the exit codes that scripts rely on. docs/exit-codes.md is the same for
// people.
#pragma once

#include <cstdint>

#include "vmm/error.hpp"

namespace vmm::cli {

enum class ExitCode : std::uint8_t {
    Success = 0,      ///< the guest powered off, or the user quit
    HostFailed = 1,   ///< the host refused or failed
    BadRequest = 2,   ///< what was asked for is wrong
    GuestReset = 3,   ///< the guest asked for a reset, and the policy was --on-reset exit
    GuestPanic = 4,   ///< the guest panicked, and the policy was --on-panic exit
    GuestCrash = 5,   ///< triple fault under --on-crash exit, or KVM could not go on
    SignalBase = 128  ///< plus the signal's number: told to end, and the guest did not power off
};

constexpr int to_int(ExitCode code) {
    return static_cast<int>(code);
}

constexpr int exit_code_of(ErrorKind kind) {
    return to_int(kind == ErrorKind::Config ? ExitCode::BadRequest : ExitCode::HostFailed);
}

constexpr int exit_code_of_signal(int signal) {
    return to_int(ExitCode::SignalBase) + signal;
}

}  // namespace vmm::cli
