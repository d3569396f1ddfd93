// SPDX-License-Identifier: Apache-2.0
// What kind of KVM the host has, where /dev/kvm itself does not tell.
#pragma once

#include <string>

namespace vmm::kvm {

/// Empty when this KVM uses hardware virtualisation, or when that cannot be found out. Otherwise
/// one or two sentences for a user: what this KVM can and cannot run, and what would help.
/// `modules` is the folder that lists the kernel's modules, loaded or built in.
std::string missing_hardware_virtualisation(const char* modules = "/sys/module");

}  // namespace vmm::kvm
