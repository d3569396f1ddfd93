// SPDX-License-Identifier: Apache-2.0
// Says what a file is that is not a kernel we can boot, from its first bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/error.hpp"

namespace vmm {

/// What was wanted, for the error.
struct WantedKernel {
    std::string_view machine;  ///< "x86-64"
    std::string_view formats;  ///< "neither bzImage nor ELF"
    std::string_view advice;   ///< which files to give instead
};

/// "a script (#!/bin/sh), neither bzImage nor ELF", with the advice for it.
Error explain_unusable(std::span<const std::byte> head, const WantedKernel& wanted);

}  // namespace vmm
