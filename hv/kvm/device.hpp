// SPDX-License-Identifier: Apache-2.0
// Opening /dev/kvm, and saying what is wrong with it when it cannot be used. Private to hv/kvm.
// Spec: Linux Documentation/virt/kvm/api.rst, 4.1 KVM_GET_API_VERSION, 4.2 KVM_CREATE_VM.
#pragma once

#include <sys/types.h>

#include "kvm/ioctl.hpp"
#include "vmm/error.hpp"

namespace vmm::kvm {

/// Opens the device and makes sure that KVM answers.
Result<Handle> open(const char* device = "/dev/kvm");

/// Who may use the device, as stat(2) says, and who asks.
struct DevicePermissions {
    uid_t owner = 0;
    gid_t group = 0;
    mode_t mode = 0;
    bool in_group = false;
};

/// The error for "permission denied" with owner, group and mode, and the advice that fits them.
/// The two files are where names are looked up.
Error permission_denied(Error cause, const char* device, const DevicePermissions& who,
                        const char* passwd = "/etc/passwd", const char* groups = "/etc/group");

}  // namespace vmm::kvm
