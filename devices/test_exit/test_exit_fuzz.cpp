// SPDX-License-Identifier: Apache-2.0
// Random accesses. Each step is two bytes: what, and a value.
#include <array>
#include <cstddef>
#include <cstdint>

#include "test_exit/test_exit.hpp"
#include "vmm/assert.hpp"

namespace {

struct Counter final : vmm::TestExitEvents {
    std::size_t count = 0;
    void exit_requested(std::uint32_t) noexcept override { ++count; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Counter exits;
    vmm::TestExit device{exits};
    constexpr std::array<vmm::AccessSize, 4> sizes{vmm::AccessSize::Byte, vmm::AccessSize::Word,
                                                   vmm::AccessSize::Dword, vmm::AccessSize::Qword};
    for (std::size_t i = 0; i + 1 < size; i += 2) {
        const vmm::Access access{.offset = (data[i] >> 2U) & 3U, .size = sizes[data[i] & 3U]};
        const auto before = exits.count;
        device.write(access, data[i + 1]);
        VMM_ASSERT(exits.count == before || access.offset == 0);
        VMM_ASSERT(device.read(access) == ~std::uint64_t{0});
    }
    return 0;
}
