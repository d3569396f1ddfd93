// SPDX-License-Identifier: Apache-2.0
// The device through which a guest reports a panic: it is there or not.
#include "config/kinds/kinds.hpp"

namespace vmm::config {
namespace {

std::size_t pci_devices(const VmConfig& config) {
    return config.pvpanic ? 1 : 0;
}

}  // namespace

constexpr DeviceSchema kPvPanic{
    .table = {.help = "A device through which the guest reports a panic"},
    .noun = "the panic device",
    .name = "pvpanic",
    .pci_devices = pci_devices};

}  // namespace vmm::config
