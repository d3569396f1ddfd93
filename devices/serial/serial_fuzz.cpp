// SPDX-License-Identifier: Apache-2.0
// Random register accesses, input and back pressure. Each step is two bytes: what, and a value.
#include <cstddef>
#include <cstdint>

#include "serial/serial.hpp"
#include "support/fake_byte_sink.hpp"
#include "support/recording_irq_line.hpp"
#include "vmm/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::RecordingIrqLine irq;
    vmm::test::FakeByteSink out;
    vmm::Serial device{irq, out};
    constexpr std::array<vmm::AccessSize, 4> sizes{vmm::AccessSize::Byte, vmm::AccessSize::Word,
                                                   vmm::AccessSize::Dword, vmm::AccessSize::Qword};

    for (std::size_t i = 0; i + 1 < size; i += 2) {
        const unsigned what = data[i];
        const vmm::Access access{.offset = what & 7U,
                                 .size = sizes[(what & 0xc0U) == 0xc0U ? data[i + 1] & 3U : 0]};
        if ((what & 0x30U) == 0x00U)
            device.write(access, data[i + 1]);
        else if ((what & 0x30U) == 0x10U)
            device.read(access);
        else if ((what & 0x30U) == 0x20U)
            VMM_ASSERT(device.receive(std::as_bytes(std::span{data, data[i + 1] % size})) <= 16);
        else
            out.room = what & 7U, device.on_room();
    }

    device.reset();
    VMM_ASSERT(!irq.high);
    VMM_ASSERT(device.read({.offset = 5, .size = vmm::AccessSize::Byte}) == 0x60);
    return 0;
}
