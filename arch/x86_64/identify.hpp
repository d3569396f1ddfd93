// SPDX-License-Identifier: Apache-2.0
// Says what a file is that is not a kernel we can boot, from its first bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm/error.hpp"

namespace vmm::x86_64 {

/// "a script (#!/bin/sh), neither bzImage nor ELF", with the advice for it.
Error explain_unusable(std::span<const std::byte> head);

}  // namespace vmm::x86_64
