// SPDX-License-Identifier: Apache-2.0
// Threads that may ask the kernel for nothing but what their kind needs.
//
// A thread takes its filter at the end of its own start-up (vmm/thread.hpp), and never gets rid of
// it. A call that the filter does not allow ends the process: the fault's handler (vmm/faults.hpp)
// says which thread asked for what.
// Spec: seccomp(2). Cost: one system call a thread, and some 20 ns for each call that has
// conditions.
#pragma once

#include "sandbox/options.hpp"
#include "vmm/error.hpp"
#include "vmm/thread.hpp"

namespace vmm::sandbox {

/// From now on confine_this_thread() loads filters, and make_thread() calls it. Fails where the
/// kernel has no filters; then nothing is confined. With Seccomp::Off nothing happens. On the main
/// thread, before there are others. What their messages go to has to be open before they are
/// confined: standard_error(), and its thread.
Result<> confine_threads(Seccomp mode);

}  // namespace vmm::sandbox
