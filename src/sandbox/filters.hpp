// SPDX-License-Identifier: Apache-2.0
// The filter of each kind of thread, as the build has made it of the tables (vmm/call_rule.hpp).
#pragma once

#include <linux/filter.h>

#include <span>

#include "vmm/thread.hpp"

namespace vmm::sandbox {

/// It answers SECCOMP_RET_TRAP to a call that no rule allows; calls::kOwnProcess stands for the
/// number of the process. Empty for a thread that is never confined.
std::span<const sock_filter> filter_of(ThreadKind kind) noexcept;

/// In instructions; no filter is longer.
inline constexpr std::size_t kLongestFilter = 256;

/// "openat"; null for a number that is none. Async-signal-safe.
const char* call_name(int number) noexcept;

}  // namespace vmm::sandbox
