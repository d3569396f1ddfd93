// For our own bugs only. A condition that a guest or a person can make false is not one.
#pragma once

namespace vmm {

/// Prints the condition and its place, then aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* file, unsigned line) noexcept;

}  // namespace vmm

#define VMM_ASSERT(condition) \
    ((condition) ? void() : ::vmm::assertion_failed(#condition, __FILE__, __LINE__))
