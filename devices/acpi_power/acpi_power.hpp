// SPDX-License-Identifier: Apache-2.0
// Power off, reset and power button of a hardware-reduced ACPI platform.
//
// Spec: ACPI 6.5, 4.8.3.6 (reset register), 4.8.3.7 (sleep control and status), 5.6.9 (Generic
//   Event Device); what the bits mean to both sides is in vmm/acpi_registers.hpp.
// Not here: the tables that tell the guest (arch), a PM timer (no table of ours names one: the
//   guests we know take their time from the TSC), sleep states other than S5.
// Threads: as vmm/io_device.hpp; press_power_button() is called with lock() held as well.
#pragma once

#include <cstdint>

#include "vmm/acpi_registers.hpp"
#include "vmm/guest_events.hpp"
#include "vmm/io_device.hpp"
#include "vmm/irq_line.hpp"
#include "vmm/stateful.hpp"

namespace vmm {

class AcpiPower final : public IoDevice, public Resettable, public Stateful {
public:
    static constexpr std::uint64_t kRegionSize = 0x10;  // bytes

    // offset, access, meaning; all 8 bits wide
    static constexpr std::uint64_t kSleepControl = 0x0;  // rw
    static constexpr std::uint64_t kSleepStatus = 0x1;   // r   nothing ever woke up
    static constexpr std::uint64_t kReset = 0x2;         // w
    static constexpr std::uint64_t kEvents = 0xc;        // r   clears what it returns

    /// `irq` is the Generic Event Device's.
    AcpiPower(GuestEvents& events, IrqLine& irq) : events_{events}, irq_{irq} {}

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;
    void reset() noexcept override;
    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;

    /// The guest finds the event when it reads the register, also much later.
    void press_power_button() noexcept;

private:
    std::uint8_t take_events();

    GuestEvents& events_;
    IrqLine& irq_;
    acpi::SleepControl sleep_control_;
    acpi::GedEvents pending_;
};

}  // namespace vmm
