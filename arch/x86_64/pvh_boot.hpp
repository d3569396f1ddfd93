// SPDX-License-Identifier: Apache-2.0
// The PVH boot protocol's side of a start: hvm_start_info and registers, 32-bit entry.
//
// Spec: Xen docs/misc/pvh.pandoc and include/public/arch-x86/hvm/start_info.h, version 1.
#pragma once

#include "vmm/error.hpp"
#include "x86_64/linux_boot.hpp"

namespace vmm::x86_64 {

Result<CpuStart> write_pvh_boot(const Handover& handover, GuestMemory& memory);

}  // namespace vmm::x86_64
