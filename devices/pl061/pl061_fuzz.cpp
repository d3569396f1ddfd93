// SPDX-License-Identifier: Apache-2.0
// Random register accesses and presses. Each step is two bytes: what, and a value.
#include <array>
#include <cstddef>
#include <cstdint>

#include "pl061/pl061.hpp"
#include "support/recording_irq_line.hpp"
#include "vmm/assert.hpp"

namespace {

constexpr std::array<vmm::AccessSize, 4> kSizes{vmm::AccessSize::Byte, vmm::AccessSize::Word,
                                                vmm::AccessSize::Dword, vmm::AccessSize::Qword};

constexpr vmm::Access at(std::uint64_t offset) {
    return {.offset = offset, .size = vmm::AccessSize::Byte};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::RecordingIrqLine irq;
    vmm::Pl061 device{irq};
    for (std::size_t i = 0; i + 1 < size; i += 2) {
        const unsigned what = data[i];
        const unsigned value = data[i + 1];
        // The data with any mask, a register, or an id.
        const std::array<std::uint64_t, 4> offsets{value * 4, 0x400 + (what & 0xfU) * 4,
                                                   0x400 + (what & 0xfU) * 4, 0xfdc + value % 0x24};
        const vmm::Access access{.offset = offsets[what >> 4U & 3U], .size = kSizes[value & 3U]};
        irq.changes.clear();
        if (what >> 6U == 0)
            device.press(value & 7U);
        else if (what >> 6U == 1)
            device.read(access);
        else
            device.write(access, value);
        VMM_ASSERT(irq.changes.size() <= 1);
        VMM_ASSERT(irq.high == (device.read(at(0x418)) != 0));
    }

    device.reset();
    VMM_ASSERT(!irq.high);
    device.write(at(0x408), 0x08);
    device.write(at(0x410), 0x08);
    device.press(3);
    VMM_ASSERT(irq.high);
    device.write(at(0x41c), 0x08);
    VMM_ASSERT(!irq.high);
    VMM_ASSERT(device.read(at(0x020)) == 0x08);
    VMM_ASSERT(irq.high);
    VMM_ASSERT(device.read(at(0x020)) == 0x00);
    return 0;
}
