// SPDX-License-Identifier: Apache-2.0
#include "kvm/doorbells.hpp"

#include <linux/kvm.h>

#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

kvm_ioeventfd describe(const DoorbellAddress& address, int eventfd) {
    const bool port = address.space == DoorbellAddress::Space::Port;
    kvm_ioeventfd bell{};
    bell.datamatch = address.match.value_or(0);
    bell.addr = address.at;
    bell.len = address.size;
    bell.fd = eventfd;
    bell.flags = (port ? 1U << kvm_ioeventfd_flag_nr_pio : 0U) |
                 (address.match ? 1U << kvm_ioeventfd_flag_nr_datamatch : 0U);
    return bell;
}

std::string place(const DoorbellAddress& address) {
    const bool port = address.space == DoorbellAddress::Space::Port;
    return port ? cat("port ", Hex{address.at}) : cat(Gpa{address.at});
}

}  // namespace

Result<> connect_doorbell(const Handle& vm, const DoorbellAddress& address, int eventfd) {
    auto bell = describe(address, eventfd);
    VMM_TRY_OR(vm.call(VMM_REQUEST(KVM_IOEVENTFD), &bell),
               cat("cannot connect a doorbell at ", place(address)));
    return {};
}

void disconnect_doorbell(const Handle& vm, const DoorbellAddress& address, int eventfd) noexcept {
    auto bell = describe(address, eventfd);
    bell.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
    if (vm.attempt(KVM_IOEVENTFD, &bell) < 0)
        log::debug("KVM has no doorbell at ", place(address));
}

}  // namespace vmm::kvm
