// SPDX-License-Identifier: Apache-2.0
// A packed virtqueue that lies in pieces of the host, on memory that a fuzzer writes.
#include "virtio/ring_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::virtio::fuzz_ring({data, size}, true, vmm::virtio::RingLayout::InPieces);
    return 0;
}
