// SPDX-License-Identifier: Apache-2.0
// Any chain over memory that the input wrote.
//
// What must hold: what reaches a backend lies on the disk, in RAM, and is as long as it says.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "support/flat_guest_memory.hpp"
#include "support/fuzz_input.hpp"
#include "virtio_blk/request.hpp"

namespace vmm::virtio_blk {
namespace {

constexpr std::uint64_t kRam = 0x4000;

void check(bool holds) {
    if (!holds)
        std::abort();
}

void check_request(const BlockRequest& request, const Limits& limits,
                   const test::FlatGuestMemory& memory) {
    const std::uint64_t size = limits.sectors * kSector;
    if (request.kind == BlockRequest::Kind::Flush)
        return;
    check(request.length > 0 && request.length % limits.block == 0);
    check(request.length <= size && request.offset <= size - request.length);
    check(request.kind == BlockRequest::Kind::Read || !limits.readonly);
    std::uint64_t total = 0;
    const std::byte* const ram = memory.host(Gpa{0});
    for (const iovec& piece : request.iovecs) {
        const auto* const at = static_cast<const std::byte*>(piece.iov_base);
        check(at >= ram && at + piece.iov_len <= ram + kRam);
        total += piece.iov_len;
    }
    const bool moves =
        request.kind == BlockRequest::Kind::Read || request.kind == BlockRequest::Kind::Write;
    check(total == (moves ? request.length : 0));
}

}  // namespace
}  // namespace vmm::virtio_blk

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    using namespace vmm::virtio_blk;
    static test::FlatGuestMemory memory{kRam};
    static virtio::Chain chain;
    test::FuzzInput input{data, size};

    const auto options = input.take<std::uint8_t>();
    const Limits limits{.sectors = input.take<std::uint32_t>(),
                        .block = (options & 1) != 0 ? 4096u : 512u,
                        .readonly = (options & 2) != 0,
                        .write_through = (options & 4) != 0,
                        .features = f::kDiscard | f::kWriteZeroes};
    chain.clear();
    for (unsigned segments = (options >> 3) % 8; segments > 0; --segments) {
        const auto flags = input.take<std::uint8_t>();
        const auto at =
            (flags & 2) != 0 ? input.take<std::uint64_t>() : input.take<std::uint16_t>() % kRam;
        const auto length =
            (flags & 4) != 0 ? input.take<std::uint32_t>() : input.take<std::uint16_t>() % 0x1000u;
        if (!chain.add(Gpa{at}, length, (flags & 1) != 0))
            return 0;
    }
    const auto bytes = input.take_bytes(kRam);
    std::memcpy(memory.host(Gpa{0}), bytes.data(), bytes.size());

    std::array<iovec, 6> pieces{};
    BlockRequest request;
    const Parsed parsed = parse(chain, memory, limits, pieces, request);
    if (parsed.action == Parsed::Action::Submit)
        check_request(request, limits, memory);
    check(answer(parsed.reply, parsed.status, parsed.read_bytes, memory) <= chain.writable_bytes());
    return 0;
}
