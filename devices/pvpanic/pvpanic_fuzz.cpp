// SPDX-License-Identifier: Apache-2.0
// Random accesses. Each step is two bytes: what, and a value.
#include <array>
#include <cstddef>
#include <cstdint>

#include "pvpanic/pvpanic.hpp"
#include "support/recording_guest_events.hpp"
#include "vmm/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::RecordingGuestEvents events;
    vmm::PvPanic device{events};
    constexpr std::array<vmm::AccessSize, 4> sizes{vmm::AccessSize::Byte, vmm::AccessSize::Word,
                                                   vmm::AccessSize::Dword, vmm::AccessSize::Qword};
    for (std::size_t i = 0; i + 1 < size; i += 2) {
        const vmm::Access access{.offset = (data[i] >> 2U) & 3U, .size = sizes[data[i] & 3U]};
        device.write(access, data[i + 1]);
        const auto read = device.read(access);
        VMM_ASSERT(read == 0b111 || read == ~std::uint64_t{0});
    }
    VMM_ASSERT(events.seen.size() <= size / 2 * 3);
    return 0;
}
