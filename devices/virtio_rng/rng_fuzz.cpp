// SPDX-License-Identifier: Apache-2.0
// Any chain: what is filled lies in RAM, from the front, and is as long as it says.
#include <cstdlib>
#include <cstring>

#include "support/fake_entropy.hpp"
#include "support/flat_guest_memory.hpp"
#include "support/fuzz_input.hpp"
#include "virtio_rng/fill.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    constexpr std::uint64_t kRam = 0x8000;
    static test::FlatGuestMemory memory{
        {GpaRange{Gpa{0}, kRam}, GpaRange{Gpa{kRam}, kRam}, GpaRange{Gpa{4 * kRam}, 0x100}}};
    static virtio::Chain chain;
    test::FuzzInput input{data, size};
    test::FakeEntropy entropy;

    chain.clear();
    while (!input.empty()) {
        const auto flags = input.take<std::uint8_t>();
        const auto at = (flags & 2) != 0 ? input.take<std::uint64_t>()
                                         : std::uint64_t{input.take<std::uint16_t>()} * 3;
        const auto length =
            (flags & 4) != 0 ? input.take<std::uint32_t>() : input.take<std::uint16_t>() % 0x1000u;
        if (!chain.add(Gpa{at}, length, (flags & 1) != 0))
            break;
    }
    const std::uint32_t written = virtio_rng::fill(chain, memory, entropy);
    if (written > virtio_rng::kMaxBytes || written > chain.writable_bytes() ||
        written != entropy.bytes)
        std::abort();
    return 0;
}
