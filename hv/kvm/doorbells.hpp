// SPDX-License-Identifier: Apache-2.0
// Doorbells as KVM's ioeventfds. Private to hv/kvm.
// Spec: api.rst, 4.59 KVM_IOEVENTFD. Threads: any; KVM does the locking.
#pragma once

#include "kvm/ioctl.hpp"
#include "vmm/doorbell.hpp"

namespace vmm::kvm {

Result<> connect_doorbell(const Handle& vm, const DoorbellAddress& address, int eventfd);
void disconnect_doorbell(const Handle& vm, const DoorbellAddress& address, int eventfd) noexcept;

}  // namespace vmm::kvm
