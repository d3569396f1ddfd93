// SPDX-License-Identifier: Apache-2.0
// Descriptors 0, 1 and 2 are always open: the first thing main() sees to.
#pragma once

namespace vmm {

/// Opens /dev/null wherever standard input, output or error is closed. Otherwise the next file
/// we open (a disk, /dev/kvm) gets that number, and what is meant for the terminal goes into it.
/// Once, before anything else is opened.
void open_standard_fds() noexcept;

}  // namespace vmm
