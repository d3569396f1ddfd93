// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/hypervisor.hpp"
#include "machine/aarch64/virt.hpp"

namespace vmm::machine {

Result<std::unique_ptr<Platform>> make_platform(const VmConfig& config) {
    return VMM_TRY(Virt::create(config, std::make_unique<kvm::Hypervisor>()));
}

}  // namespace vmm::machine
