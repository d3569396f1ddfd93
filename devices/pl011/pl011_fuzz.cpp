// SPDX-License-Identifier: Apache-2.0
// Random register accesses, input and back pressure. Each step is three bytes: what, and a value.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pl011/pl011.hpp"
#include "support/fake_byte_sink.hpp"
#include "support/recording_irq_line.hpp"
#include "vmm/assert.hpp"

namespace {

constexpr std::array<vmm::AccessSize, 4> kSizes{vmm::AccessSize::Dword, vmm::AccessSize::Word,
                                                vmm::AccessSize::Byte, vmm::AccessSize::Qword};
constexpr vmm::Access kMasked{.offset = 0x40, .size = vmm::AccessSize::Dword};
constexpr vmm::Access kFlags{.offset = 0x18, .size = vmm::AccessSize::Dword};

/// 0 to 0x4c, most often a register; rarely beside one, or an id.
std::uint64_t offset_of(unsigned what, unsigned value) {
    if ((what & 0x3fU) == 0x3fU)
        return 0xfdc + value % 0x24;
    return what % 20 * 4;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::RecordingIrqLine irq;
    vmm::test::FakeByteSink out;
    vmm::Pl011 device{irq, out};

    for (std::size_t i = 0; i + 2 < size; i += 3) {
        const unsigned what = data[i];
        const unsigned value = data[i + 1] | unsigned{data[i + 2]} << 8U;
        const vmm::Access access{.offset = offset_of(what, value),
                                 .size = kSizes[value >> 14U == 3 ? value & 3U : 0]};
        irq.changes.clear();
        if ((what & 0xc0U) == 0x00U)
            device.write(access, value);
        else if ((what & 0xc0U) == 0x40U)
            device.read(access);
        else if ((what & 0xc0U) == 0x80U)
            VMM_ASSERT(device.receive(std::as_bytes(std::span{data, value % size})) <= 32);
        else
            out.room = what & 0x3fU, device.on_room();
        VMM_ASSERT(irq.changes.size() <= 1);
        VMM_ASSERT(irq.high == (device.read(kMasked) != 0));
    }

    device.reset();
    VMM_ASSERT(!irq.high && !device.has_output());
    VMM_ASSERT(device.read(kFlags) == 0x97);
    return 0;
}
