// SPDX-License-Identifier: Apache-2.0
// The whole of what the main thread gives up before other threads start, and the report of it.
//
// Threads: the calling one, and those that it makes afterwards. Seccomp is not here: each kind of
// thread has a filter of its own.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sandbox/landlock.hpp"
#include "sandbox/options.hpp"
#include "vmm/error.hpp"

namespace vmm::sandbox {

/// What the sandbox consists of on this host.
struct Report {
    std::vector<std::string> active;
    std::vector<std::string> missing;  ///< that Strict would have

    std::string one_line() const;  ///< for a log record
    std::string page() const;  ///< for --sandbox-report: several lines, without the last newline
};

struct Confinement {
    Mode mode = Mode::Off;
    std::span<const PathRule> paths;
    int landlock = landlock_version();  ///< as if the kernel's were this one, at most its own
};

/// For good; with Strict after prepare_namespaces(). An error is a path that does not exist,
/// something that a kernel with the feature does not refuse, or, with Strict, something that is
/// missing. Nothing, with Off.
Result<Report> confine(const Confinement& how);

}  // namespace vmm::sandbox
