// SPDX-License-Identifier: Apache-2.0
// What users of QEMU, Cloud Hypervisor, Firecracker, crosvm, kvmtool and Alioth type out of habit,
// and what it is called here.
#pragma once

#include <string_view>

namespace vmm::cli {

/// The advice about a flag of another monitor, given without its dashes ("hda", "smp"): a full
/// sentence. Empty if no such flag is known.
std::string_view advice_about_foreign(std::string_view name);

}  // namespace vmm::cli
