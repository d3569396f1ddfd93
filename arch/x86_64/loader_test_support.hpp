// SPDX-License-Identifier: Apache-2.0
// What the tests of loaders share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "vmm/error.hpp"
#include "x86_64/kernel_file.hpp"
#include "x86_64/loader.hpp"
#include "x86_64/synthetic_kernel.hpp"

namespace vmm::x86_64::test {

inline constexpr std::uint64_t kRam = 128 * kMiB;

inline KernelFile open_kernel(std::span<const std::byte> content) {
    auto kernel = KernelFile::open(MemoryFile{content}.path());
    if (!kernel)
        throw std::runtime_error(kernel.error().report());
    return *std::move(kernel);
}

inline std::string error_of(const Result<Entry>& result) {
    return result ? "" : result.error().report();
}

}  // namespace vmm::x86_64::test
