// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/hypervisor.hpp"
#include "machine/x86_64/pc.hpp"

namespace vmm::machine {

Result<std::unique_ptr<Platform>> make_platform(const VmConfig& config) {
    return VMM_TRY(Pc::create(config, std::make_unique<kvm::Hypervisor>()));
}

}  // namespace vmm::machine
