// SPDX-License-Identifier: Apache-2.0
// Namespaces of Linux for --sandbox strict: an empty root, no network, no System V IPC of others.
//
// Spec: namespaces(7), user_namespaces(7), pivot_root(2). Threads: see each function.
#pragma once

#include <span>
#include <string>

#include "vmm/error.hpp"

namespace vmm::sandbox {

/// The right to enter the others: a user namespace in which the user is who they are outside,
/// unless the process may do without. While there is one thread, before anything is started.
Result<> prepare_namespaces();

/// A mount, an IPC, a UTS and a network namespace. The root holds the `paths` where they were, and
/// nothing else; relative ones stay what they are. For the calling thread and those that it makes.
Result<> enter_namespaces(std::span<const std::string> paths);

}  // namespace vmm::sandbox
