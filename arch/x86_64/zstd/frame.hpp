// A zstd decoder for one job: a whole frame from memory to memory, in few instructions.
//
// Why not libzstd alone: unpacking a Debian kernel is a quarter of all instructions between our
// start and the guest's init, and libzstd's portable sequence loop takes half again as many as this
// one. It stays the judge: what this decoder does not take (nothing that zstd writes for a kernel)
// or finds wrong goes to libzstd, whose errors are shown. Spec: RFC 8878. Left out: dictionaries,
// skippable frames, checksums (skipped), frames behind the first one. The input is taken for
// hostile.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace vmm::x86_64::zstd {

struct Decoded {
    std::size_t size = 0;   ///< bytes that are right, from the start of the output
    bool finished = false;  ///< the frame is known to end there: room was left
};

/// Until the frame ends or `to` is full. Between `size` and the end of `to` anything may be left.
/// Nothing: not taken, or wrong.
std::optional<Decoded> decode_frame(std::span<const std::byte> from, std::span<std::byte> to);

}  // namespace vmm::x86_64::zstd
