// SPDX-License-Identifier: Apache-2.0
// Landlock: the process keeps its open descriptors, and of the host's paths only those that are
// listed.
//
// What a kernel can refuse depends on the version of its ABI. Here everything that it knows is
// refused: files, TCP ports, ioctls of devices that are opened later, abstract sockets and signals
// to processes outside. What it does not know is told, and stays as it was. Not covered by any
// version: connect() to a socket's path, UDP, stat(), chmod() and the like.
// Spec: Linux Documentation/userspace-api/landlock.rst. Threads: enter() is for the calling thread
// and the threads and processes that it makes afterwards.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::sandbox {

/// What stays allowed at a path, and below it where it is a directory.
enum class PathAccess : std::uint8_t {
    Read,
    Write,  ///< also making and removing, in a directory
    ReadWrite,
    Remove,   ///< removing files, links and sockets from the directory
    Publish,  ///< the same, and linking a file of ours into the directory
};

struct PathRule {
    std::string path;
    PathAccess access = PathAccess::Read;
    std::string whose;  ///< what names the path, for errors: "landlock_rules[0].path"
};

/// Sets of Linux's bits, see landlock_ruleset_attr.
struct LandlockRights {
    std::uint64_t files = 0;
    std::uint64_t ports = 0;
    std::uint64_t scopes = 0;
};

/// The first version that has all that is refused here.
inline constexpr int kWholeLandlock = 6;

/// All that a kernel with this version knows; version 0 is a kernel without Landlock.
LandlockRights landlock_rights(int version) noexcept;
/// What a kernel with this version does not refuse: "TCP ports", in the order of their versions.
std::vector<std::string_view> landlock_gaps(int version);

/// The kernel's version. 0 if there is none, or if it is switched off.
int landlock_version() noexcept;

class Landlock {
public:
    /// Each path exists, or it is an error. `version` is above 0, at most the kernel's.
    static Result<Landlock> prepare(int version, std::span<const PathRule> paths);

    /// For good. The thread has no_new_privs, or CAP_SYS_ADMIN.
    Result<> enter() const;

private:
    explicit Landlock(UniqueFd rules) : rules_{std::move(rules)} {}

    UniqueFd rules_;
};

}  // namespace vmm::sandbox
