// SPDX-License-Identifier: Apache-2.0
// File names that mean a descriptor which is open already: /dev/stdout, /dev/fd/3.
//
// Opening such a name makes a new file description: one with an offset of its own that O_TRUNC
// empties, and none at all for a socket. Whoever writes there means what is open, as it is.
#pragma once

#include <optional>
#include <string>

namespace vmm {

/// The descriptor that `path` names: /dev/stdin, /dev/stdout, /dev/stderr, /dev/fd/N,
/// /proc/self/fd/N, or a symbolic link that ends at one of these.
std::optional<int> named_descriptor(const std::string& path);

/// Whether `fd` has been open since this program was started. What we open ourselves is
/// close-on-exec, and nothing that came through an exec can be.
bool is_inherited(int fd) noexcept;

}  // namespace vmm
