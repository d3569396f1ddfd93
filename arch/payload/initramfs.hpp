// SPDX-License-Identifier: Apache-2.0
// Several archives as the one initramfs that a kernel gets: one after the other, each from a
// multiple of four bytes on. Spec: Linux
// Documentation/driver-api/early-userspace/buffer-format.rst.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "payload/boot_file.hpp"
#include "vmm/error.hpp"
#include "vmm/gpa.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm {

/// Errors name the file that cannot be used.
Result<std::vector<BootFile>> open_initramfs(std::span<const std::string> paths);

/// Bytes with the padding in between; 0 without archives.
std::uint64_t initramfs_size(std::span<const BootFile> archives);

/// For errors: "a.cpio, b.cpio".
std::string initramfs_names(std::span<const BootFile> archives);

/// Padding is written too: something may have been there before.
Result<> read_initramfs(std::span<const BootFile> archives, GuestMemory& memory, Gpa at);

}  // namespace vmm
