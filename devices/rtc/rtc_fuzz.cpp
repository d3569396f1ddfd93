// SPDX-License-Identifier: Apache-2.0
// Random register accesses while time goes on. Each step is two bytes: what, and a value.
#include <cstddef>
#include <cstdint>

#include "rtc/rtc.hpp"
#include "support/fake_clock.hpp"
#include "vmm/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::FakeClock clock;
    vmm::Rtc device{clock};
    for (std::size_t i = 0; i + 1 < size; i += 2) {
        const unsigned what = data[i];
        const vmm::Access access{
            .offset = what & 3U,
            .size = (what & 0x80U) != 0 ? vmm::AccessSize::Word : vmm::AccessSize::Byte};
        if ((what & 0x10U) != 0)
            device.write(access, data[i + 1]);
        else
            device.read(access);
        if ((what & 0x20U) != 0)
            clock.advance(std::chrono::milliseconds{data[i + 1]} * 1000);
    }

    device.reset();
    device.write({.offset = 0, .size = vmm::AccessSize::Byte}, 0x08);
    const auto month = device.read({.offset = 1, .size = vmm::AccessSize::Byte});
    VMM_ASSERT(month >= 0x01 && month <= 0x12);
    return 0;
}
