// SPDX-License-Identifier: Apache-2.0
// What the user wants of the process's sandbox: --sandbox, --seccomp and --sandbox-report.
//
// They belong to the process and not to the machine, so they are flags only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vmm::sandbox {

enum class Mode : std::uint8_t {
    On,      ///< whatever the host's kernel has; what is missing is said
    Off,     ///< for debuggers
    Strict,  ///< what is missing is an error, and there are namespaces too
};

enum class Seccomp : std::uint8_t {
    On,   ///< a call that is not listed ends the process
    Log,  ///< it is logged by the kernel and allowed
    Off,
};

struct Options {
    Mode mode = Mode::Off;
    Seccomp seccomp = Seccomp::Off;
    bool report = false;  ///< what is active is printed before the guest starts
    /// Files that the process links into place once the guest runs, and removes at the end.
    std::vector<std::string> published;
};

}  // namespace vmm::sandbox
