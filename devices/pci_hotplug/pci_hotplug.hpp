// SPDX-License-Identifier: Apache-2.0
// A hot-plug controller for the slots of a PCI bus: the guest reads which slots have a new device
// and which ones it shall let go, and writes which ones it has let go.
//
// No public specification; ACPI methods use the registers for the guest (ACPI 6.5, 6.3.3 _EJx,
//   5.6.6 notifications). Where they are and how wide is in vmm/acpi_registers.hpp.
// A slot is a bit of 32. Slot 0 is the host bridge's: it never comes, and nobody can eject it.
// Not here: which devices there are, and their removal. Whoever owns this says what happens to a
//   slot, and hears of ejected ones.
// Threads: as vmm/io_device.hpp; the calls for the host's side are made with lock() held as well.
#pragma once

#include <cstdint>

#include "vmm/acpi_registers.hpp"
#include "vmm/io_device.hpp"
#include "vmm/irq_line.hpp"
#include "vmm/stateful.hpp"

namespace vmm {

/// A port: a leaf call, as GuestEvents. Any thread.
class PciHotplugEvents {
public:
    virtual ~PciHotplugEvents() = default;
    /// PciHotplug::ejected() has a slot more.
    virtual void slot_ejected() noexcept = 0;
};

class PciHotplug final : public IoDevice, public Resettable, public Stateful {
public:
    static constexpr std::uint64_t kRegionSize = acpi::pci_hotplug::kSize;  // bytes
    static constexpr unsigned kSlots = 32;

    /// `irq` is level triggered.
    PciHotplug(PciHotplugEvents& events, IrqLine& irq) : events_{events}, irq_{irq} {}

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;
    /// The guest has not heard of anything, and is asked for nothing.
    void reset() noexcept override;
    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;

    // The host's side. `slot` is 1 to 31.

    /// The guest is told, also if it reads much later.
    void device_came(unsigned slot) noexcept;
    /// May be repeated: the guest is asked once more.
    void ask_for(unsigned slot) noexcept;
    /// With or without its consent: nothing is left to be said about the slot.
    void device_went(unsigned slot) noexcept;
    /// A bit for each slot that the guest has let go and device_went() was not called for.
    std::uint32_t ejected() const noexcept { return ejected_; }

private:
    std::uint32_t take(std::uint32_t& bits) noexcept;
    void update_line() noexcept;

    PciHotplugEvents& events_;
    IrqLine& irq_;
    // Slots. Those of `untold_` are also in `asked_`, none of which is in `ejected_`.
    std::uint32_t added_ = 0;   // the guest has not read it
    std::uint32_t untold_ = 0;  // nor this
    std::uint32_t asked_ = 0;   // may be ejected
    std::uint32_t ejected_ = 0;
};

}  // namespace vmm
