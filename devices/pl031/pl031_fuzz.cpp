// SPDX-License-Identifier: Apache-2.0
// Random register accesses while the host's clock moves both ways. Each step is three bytes: what,
// and a value.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "pl031/pl031.hpp"
#include "support/fake_clock.hpp"
#include "vmm/assert.hpp"

namespace {

constexpr std::array<vmm::AccessSize, 4> kSizes{vmm::AccessSize::Dword, vmm::AccessSize::Word,
                                                vmm::AccessSize::Byte, vmm::AccessSize::Qword};
constexpr vmm::Access kData{.offset = 0x00, .size = vmm::AccessSize::Dword};
constexpr vmm::Access kMatch{.offset = 0x04, .size = vmm::AccessSize::Dword};
constexpr vmm::Access kLoad{.offset = 0x08, .size = vmm::AccessSize::Dword};
constexpr vmm::Access kRaw{.offset = 0x14, .size = vmm::AccessSize::Dword};
constexpr vmm::Access kClear{.offset = 0x1c, .size = vmm::AccessSize::Dword};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::FakeClock clock;
    vmm::Pl031 device{clock};
    for (std::size_t i = 0; i + 2 < size; i += 3) {
        const unsigned what = data[i];
        const unsigned value = data[i + 1] | unsigned{data[i + 2]} << 8U;
        const vmm::Access access{
            .offset = (what & 0x1fU) == 0x1fU ? 0xfe0 + value % 0x20 : (what & 0xfU) * 4,
            .size = kSizes[value >> 14U == 3 ? value & 3U : 0]};
        switch (what >> 6U) {
            case 0:  // the values that matter are far apart
                device.write(access, std::uint64_t{value} << (what & 0x10U));
                break;
            case 1:
                device.read(access);
                break;
            case 2:
                clock.now += std::chrono::seconds{value};
                break;
            default:
                clock.now -= std::chrono::seconds{value};
                break;
        }
    }

    // Whatever came before, a match is found.
    device.write(kClear, 1);
    device.write(kLoad, 0xffff'fffe);
    device.write(kMatch, 1);
    device.write(kClear, 1);
    clock.now += std::chrono::seconds{2};
    VMM_ASSERT(device.read(kRaw) == 0 && device.read(kData) == 0);
    clock.now += std::chrono::seconds{2};
    VMM_ASSERT(device.read(kRaw) == 1 && device.read(kData) == 2);
    return 0;
}
