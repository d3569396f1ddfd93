// SPDX-License-Identifier: Apache-2.0
// Tells the processor that a loop waits for another one: less power, and more of the core for the
// thread that shares it.
#pragma once

namespace vmm {

inline void relax() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace vmm
