// SPDX-License-Identifier: Apache-2.0
// What a driver says to the network device: headers of frames, and commands.
//
// What must hold: no access outside of RAM, and a header that was accepted stays within its frame.
#include <cstdlib>
#include <cstring>

#include "support/flat_guest_memory.hpp"
#include "support/fuzz_input.hpp"
#include "virtio_net/control.hpp"
#include "virtio_net/offloads.hpp"

namespace vmm::virtio_net {
namespace {

struct CheckingTarget final : ControlTarget {
    bool set_pairs(std::uint16_t pairs) noexcept override { return pairs >= 1 && pairs <= 8; }
    void set_mac(const MacAddress&) noexcept override {}
    void acknowledge_announcement() noexcept override {}
    void set_guest_offloads(virtio::Features bits) noexcept override {
        if ((bits & ~negotiated) != 0)
            std::abort();
    }
    virtio::Features negotiated = 0;
};

void fuzz_header(test::FuzzInput& input) {
    auto header = input.take<FrameHeader>();
    const std::size_t length = kMinFrame + input.take<std::uint16_t>();
    const auto allowed = host_offloads(input.take<virtio::Features>());
    if (!accept_header(header, length, allowed))
        return;
    const bool checksum = (header.flags & FrameHeader::kNeedsChecksum) != 0;
    const std::size_t end = std::size_t{header.checksum_start} + header.checksum_offset + 2;
    if (checksum && (end > length || !allowed.checksum))
        std::abort();
    if (header.header_length > length)
        std::abort();
    if (header.gso_type != 0 && (header.gso_size == 0 || !allowed.any_segmentation()))
        std::abort();
}

void fuzz_command(test::FuzzInput& input) {
    constexpr std::uint64_t kRam = 0x10000;
    static test::FlatGuestMemory memory{kRam};
    CheckingTarget target;
    target.negotiated = input.take<virtio::Features>();
    virtio::Segment segments[4];
    const std::size_t count = input.take<std::uint8_t>() % 5u;
    for (std::size_t i = 0; i < count; ++i)
        segments[i] = {Gpa{input.take<std::uint32_t>() % (kRam + 0x1000)},
                       input.take<std::uint16_t>()};
    const auto bytes = input.take_bytes(0x1000);
    for (std::uint64_t at = 0; at < kRam && !bytes.empty(); at += 0x1000)
        std::memcpy(memory.host(Gpa{at}), bytes.data(), bytes.size());
    const auto ack = run_command(virtio::Cursor{{segments, count}, Transfer::FromGuest}, memory,
                                 target.negotiated, target);
    if (ack > 1)
        std::abort();
}

}  // namespace
}  // namespace vmm::virtio_net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::FuzzInput input{data, size};
    vmm::virtio_net::fuzz_header(input);
    vmm::virtio_net::fuzz_command(input);
    return 0;
}
