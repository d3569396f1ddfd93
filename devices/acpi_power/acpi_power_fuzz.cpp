// SPDX-License-Identifier: Apache-2.0
// Random register accesses and button presses. Each step is two bytes: what, and a value.
#include <cstddef>
#include <cstdint>

#include "acpi_power/acpi_power.hpp"
#include "support/recording_guest_events.hpp"
#include "support/recording_irq_line.hpp"
#include "vmm/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::RecordingGuestEvents events;
    vmm::test::RecordingIrqLine irq;
    vmm::AcpiPower device{events, irq};
    for (std::size_t i = 0; i + 1 < size; i += 2) {
        const unsigned what = data[i];
        const vmm::Access access{
            .offset = what & 0xfU,
            .size = (what & 0x80U) != 0 ? vmm::AccessSize::Dword : vmm::AccessSize::Byte};
        if ((what & 0x30U) == 0x10U)
            device.write(access, data[i + 1]);
        else if ((what & 0x30U) == 0x20U)
            device.press_power_button();
        else
            device.read(access);
    }

    device.press_power_button();
    VMM_ASSERT(irq.high);
    VMM_ASSERT(device.read({.offset = 0xc, .size = vmm::AccessSize::Byte}) == 1);
    VMM_ASSERT(!irq.high);
    return 0;
}
