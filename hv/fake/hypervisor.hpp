// SPDX-License-Identifier: Apache-2.0
// Gives out a virtual machine that a test has prepared, once.
#pragma once

#include <cerrno>
#include <memory>
#include <utility>

#include "fake/vm.hpp"
#include "vmm/error.hpp"
#include "vmm/hv_x86.hpp"

namespace vmm::fake {

class Hypervisor final : public hv::x86::Hypervisor {
public:
    explicit Hypervisor(std::unique_ptr<Vm> vm) : vm_{std::move(vm)} {}

    Result<std::unique_ptr<hv::x86::Vm>> create_vm() override {
        if (!vm_)
            return std::unexpected(Error::os("KVM_CREATE_VM", EBUSY));
        return std::move(vm_);
    }

private:
    std::unique_ptr<Vm> vm_;
};

}  // namespace vmm::fake
