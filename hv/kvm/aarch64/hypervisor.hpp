// SPDX-License-Identifier: Apache-2.0
// The way into hv/kvm on aarch64: a virtual machine of the Linux kernel.
#pragma once

#include <memory>

#include "vmm/error.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::kvm {

/// Opens the device and creates an empty machine. Errors name the device and say what to do.
/// vCPUs, lines and vectors made by the machine must be gone before it is.
Result<std::unique_ptr<hv::arm::Vm>> create_vm(const char* device = "/dev/kvm");

/// The same behind the port.
class Hypervisor final : public hv::arm::Hypervisor {
public:
    Result<std::unique_ptr<hv::arm::Vm>> create_vm() override { return kvm::create_vm(); }
};

}  // namespace vmm::kvm
