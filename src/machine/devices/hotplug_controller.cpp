// SPDX-License-Identifier: Apache-2.0
#include "machine/devices/hotplug_controller.hpp"

#include <mutex>

namespace vmm::machine {

static_assert(PciHotplug::kSlots == pci::kSlots);

void HotplugController::device_came(pci::Address where) {
    const std::scoped_lock held{registers_.lock()};
    registers_.device_came(where.slot);
}

void HotplugController::ask_for_device(pci::Address where) {
    const std::scoped_lock held{registers_.lock()};
    registers_.ask_for(where.slot);
}

bool HotplugController::has_let_go(pci::Address where) {
    const std::scoped_lock held{registers_.lock()};
    return (registers_.ejected() >> where.slot & 1) != 0;
}

void HotplugController::device_went(pci::Address where) {
    const std::scoped_lock held{registers_.lock()};
    registers_.device_went(where.slot);
}

}  // namespace vmm::machine
