// SPDX-License-Identifier: Apache-2.0
// The host's page size: 4 KiB on x86-64; 4, 16 or 64 KiB on aarch64, as its kernel was built.
#pragma once

#include <unistd.h>

#include <cstdint>

namespace vmm {

/// Bytes; a power of two. Any thread; libc has it from the start of the process.
inline std::uint64_t host_page() noexcept {
    return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// What one entry of the next table maps, and so the size of a transparent huge page: 2, 32 or
/// 512 MiB. A table fills a page, with eight bytes an entry.
inline std::uint64_t host_huge_page() noexcept {
    return host_page() / 8 * host_page();
}

}  // namespace vmm
