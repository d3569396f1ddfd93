// SPDX-License-Identifier: Apache-2.0
// A device of KVM's own and its attributes. Private to hv/kvm.
// Spec: api.rst, 4.79 KVM_CREATE_DEVICE, 4.80 KVM_SET_DEVICE_ATTR.
#pragma once

#include <linux/kvm.h>

#include <cstdint>

#include "kvm/ioctl.hpp"

namespace vmm::kvm {

inline Result<Handle> create_device(const Handle& vm, std::uint32_t type) {
    kvm_create_device device{};
    device.type = type;
    VMM_TRY(vm.call(VMM_REQUEST(KVM_CREATE_DEVICE), &device));
    return vm.made(UniqueFd{static_cast<int>(device.fd)});
}

/// `value` is as large as the attribute is; null where it has none. vCPUs have attributes as well.
inline Result<> set_attribute(const Handle& device, std::uint32_t group, std::uint64_t attribute,
                              const void* value = nullptr) {
    kvm_device_attr what{};
    what.group = group;
    what.attr = attribute;
    what.addr = reinterpret_cast<std::uintptr_t>(value);
    VMM_TRY(device.call(VMM_REQUEST(KVM_SET_DEVICE_ATTR), &what));
    return {};
}

}  // namespace vmm::kvm
