// SPDX-License-Identifier: Apache-2.0
// For our own bugs only. A condition that a guest or a user can make false is not one.
#pragma once

namespace vmm {

/// Prints the condition and its place, then aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* file, unsigned line) noexcept;

}  // namespace vmm

#define VMM_ASSERT(condition) \
    ((condition) ? void() : ::vmm::assertion_failed(#condition, __FILE__, __LINE__))

/// For what would cost too much where requests pass, or needs state of its own to be known: looked
/// at in every build but the released one, which does not evaluate it.
#ifdef NDEBUG
#define VMM_DEBUG_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#else
#define VMM_DEBUG_ASSERT(condition) VMM_ASSERT(condition)
#endif
