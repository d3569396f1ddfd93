// SPDX-License-Identifier: Apache-2.0
// Is this program built with a sanitizer? What one needs of the process (address space, /proc, and
// descriptors: UBSan asks the kernel through a pipe whether an object is one) cannot be taken away
// from it.
#pragma once

namespace vmm {

inline constexpr bool kSanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    true;
#else
    false;
#endif
#else
    false;
#endif

}  // namespace vmm
