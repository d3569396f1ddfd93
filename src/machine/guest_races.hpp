// SPDX-License-Identifier: Apache-2.0
// Guest RAM under ThreadSanitizer.
//
// The guest hands the same memory to one device after the other, in an order that ThreadSanitizer
// cannot see: each such change of hands looks like a race of our threads. A list of suppressed
// functions would do, but finding out that a report is suppressed takes it so long that a guest
// under emulation hardly gets a frame through.
#pragma once

#include "vmm/memory_layout.hpp"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VMM_THREAD_SANITIZER 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define VMM_THREAD_SANITIZER 1
#endif

#ifdef VMM_THREAD_SANITIZER
extern "C" void AnnotateBenignRaceSized(const char* file, int line, const volatile void* at,
                                        unsigned long size, const char* why);
#endif

namespace vmm::machine {

/// What is in `ram` belongs to the guest: nothing that two threads do to it is reported.
inline void leave_races_to_guest([[maybe_unused]] const MemoryLayout& ram) noexcept {
#ifdef VMM_THREAD_SANITIZER
    for (const MemoryRegion& region : ram.regions())
        AnnotateBenignRaceSized(__FILE__, __LINE__, region.host, region.range.size, "guest RAM");
#endif
}

}  // namespace vmm::machine
