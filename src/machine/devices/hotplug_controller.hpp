// SPDX-License-Identifier: Apache-2.0
// The PCI hot-plug controller of a machine, as the host's side has it.
#pragma once

#include <memory>
#include <utility>

#include "machine/devices/guest_hotplug.hpp"
#include "pci_hotplug/pci_hotplug.hpp"
#include "vmm/irq_line.hpp"

namespace vmm::machine {

class HotplugController final : public GuestHotplug {
public:
    /// `events` outlives this; it hears, on a vCPU thread, that has_let_go() may have changed.
    HotplugController(PciHotplugEvents& events, std::unique_ptr<IrqLine> irq)
        : irq_{std::move(irq)}, registers_{events, *irq_} {}

    /// Where the guest reaches it is for the platform to say.
    PciHotplug& registers() noexcept { return registers_; }

    void device_came(pci::Address where) override;
    void ask_for_device(pci::Address where) override;
    bool has_let_go(pci::Address where) override;
    void device_went(pci::Address where) override;

private:
    std::unique_ptr<IrqLine> irq_;
    PciHotplug registers_;
};

}  // namespace vmm::machine
