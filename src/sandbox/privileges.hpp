// SPDX-License-Identifier: Apache-2.0
// What a process may do beyond other processes of its user: capabilities, and programs that give
// rights (set-user-ID).
//
// Spec: capabilities(7), prctl(2). Threads: the calling one, and those that it makes afterwards.
#pragma once

#include <span>
#include <string>

#include "vmm/error.hpp"

namespace vmm::sandbox {

/// Whether the calling thread may use it. Numbers are those of linux/capability.h.
bool has_capability(unsigned capability) noexcept;

/// No program that the thread runs has more rights than the thread.
Result<> forbid_new_privileges();

/// A path that has to stay in reach, and for what: R_OK, W_OK, X_OK of access(2).
struct Reach {
    std::string path;
    int mode = 0;
};

/// Gives up every capability. The bounding set stays, since a call for each of its members would
/// cost a start 60 us: no_new_privs has the same effect on programs. If a path is open to
/// CAP_DAC_OVERRIDE only, as another user's directory is to root, that one capability stays, and
/// the path is the answer. Else empty.
Result<std::string> drop_capabilities(std::span<const Reach> paths);

}  // namespace vmm::sandbox
