// SPDX-License-Identifier: Apache-2.0
// What the host can back guest RAM with, and the errors that say what it cannot.
// Units: bytes.
#pragma once

#include <cstdint>
#include <string>

#include "vmm/error.hpp"

namespace vmm {

inline constexpr std::uint64_t kMiB = 1 << 20;

/// For RAM that comes out of the host's memory. The answer here is better than that of the
/// out-of-memory killer later.
Result<> check_host_memory(std::uint64_t size);

std::uint64_t default_huge_page_size();

/// RAM is made of whole huge pages. `where` says why that matters: "hugepage_size", a path.
Result<> check_whole_huge_pages(std::uint64_t size, std::uint64_t page_size,
                                const std::string& where);

/// The pool of pages of this size cannot back `size` bytes; `why` is the errno of `call`.
Error huge_page_pool_is_short(const char* call, int why, std::uint64_t size,
                              std::uint64_t page_size);

/// The host has no huge pages of this size at all.
Error no_such_huge_pages(const char* call, int why, std::uint64_t page_size);

}  // namespace vmm
