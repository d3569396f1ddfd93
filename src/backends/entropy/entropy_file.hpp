// SPDX-License-Identifier: Apache-2.0
// A device of the host as source of random bytes: /dev/hwrng, /dev/urandom.
//
// A device that fails or cannot keep up must neither stop the guest nor leave it with less than it
// asked for: what it does not give comes from another source, and that is said once.
// Threads: one at a time. Blocks for kEntropyPatience in a kEntropyWindow at most, however often it
// is asked.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "vmm/entropy_source.hpp"
#include "vmm/error.hpp"

namespace vmm {

/// How long a slow device is waited for, in one fill() or in many.
inline constexpr std::chrono::milliseconds kEntropyPatience{100};
inline constexpr std::chrono::seconds kEntropyWindow{1};

/// Fails with ErrorKind::Config when `path` cannot be a source of random bytes: it has to be a
/// character device that can be read. `fallback` outlives the source.
Result<std::unique_ptr<EntropySource>> open_entropy_file(const std::string& path,
                                                         EntropySource& fallback);

}  // namespace vmm
