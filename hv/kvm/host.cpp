// SPDX-License-Identifier: Apache-2.0
#include "kvm/host.hpp"

#include <unistd.h>

#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

bool has(const char* modules, const char* name) {
    return ::access(cat(modules, "/", name).c_str(), F_OK) == 0;
}

}  // namespace

std::string missing_hardware_virtualisation(const char* modules) {
    // /proc is there wherever /sys/module can be believed; an empty or hidden /sys proves nothing.
    if (!has(modules, "kvm") || has(modules, "kvm_intel") || has(modules, "kvm_amd"))
        return {};
    return cat(
        "this host's KVM ", has(modules, "kvm_pvm") ? "(kvm_pvm) " : "",
        "has no hardware virtualisation: it runs 64-bit user-mode code itself and everything else, "
        "a kernel above all, one instruction at a time in an emulator that knows only some of "
        "them, so a stock kernel cannot run on it. Use a host whose CPU offers VT-x or AMD-V to "
        "Linux (modules kvm_intel or kvm_amd), or a virtual machine with nested virtualisation "
        "turned on");
}

}  // namespace vmm::kvm
