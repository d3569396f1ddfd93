// SPDX-License-Identifier: Apache-2.0
// Puts an arm64 kernel, its initramfs and its device tree into RAM.
//
// Spec: Linux Documentation/arch/arm64/booting.rst, 2 to 4: the Image at its offset from a 2 MiB
// boundary, the tree at 8 bytes, at most 2 MiB of it, the initramfs within the same 32 GiB. An ELF
// file goes where it says, and is entered the same way. RAM is clear; no vCPU runs. Threads: one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "aarch64/kernel_file.hpp"
#include "payload/boot_file.hpp"
#include "vmm/error.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::aarch64 {

/// Makes the tree once it is known where the initramfs lies.
using MakeTree = std::function<std::vector<std::byte>(GpaRange initramfs)>;

struct LoadRequest {
    GpaRange ram;
    std::span<const BootFile> initramfs;
    MakeTree make_tree;
};

struct Entry {
    hv::arm::Entry cpu;
    std::string how;  ///< one line for the log
};

/// Errors are ErrorKind::Config where the files or the request are to blame.
Result<Entry> load(const KernelFile& kernel, const LoadRequest& request, GuestMemory& memory);

}  // namespace vmm::aarch64
