// SPDX-License-Identifier: Apache-2.0
// Decompression of kernels: gzip, zstd, xz and LZ4, straight to where the bytes shall be.
//
// Input and output are plain memory. The input is hostile: the libraries parse it, by interfaces
// that check every field, and nothing is written outside `to`. Memory of the decoders themselves is
// bounded: 128 MiB of window for zstd, 512 MiB of dictionary for xz. Of several streams, frames or
// members the first one counts; what follows it is ignored (bzImages append a size).
// Checksums over the content are skipped: they cost as much as a third of the work, and a kernel
// that was damaged on the disk is no worse than one that was damaged before it was compressed.
// Specifications: RFC 1951, RFC 1952 (gzip), RFC 8878 (zstd), The .xz File Format 1.1.0, LZ4 frame
// format 1.6.3 with its chapter on legacy frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "vmm/error.hpp"

namespace vmm {

enum class Compression : std::uint8_t {
    None,
    Gzip,
    Zstd,
    Xz,
    Lz4Legacy,  ///< what the Linux build makes: lz4 -l
    Lz4Frame,
    Bzip2,  ///< from here on: known by name, not unpacked
    Lzma,
    Lzo,
};

/// By the first bytes; None if they are not a magic number we know.
Compression detect_compression(std::span<const std::byte> head);

std::string_view name_of(Compression compression);

constexpr bool can_unpack(Compression compression) {
    return compression > Compression::None && compression <= Compression::Lz4Frame;
}

struct Unpacked {
    std::size_t size = 0;   ///< bytes written to `to`, from its start
    bool finished = false;  ///< the stream is known to end there; else there is enough
};

/// More room than that after what is needed spares zstd a second pass: its blocks are decoded
/// whole or not at all.
inline constexpr std::size_t kUnpackSlack = std::size_t{128} << 10;

/// Unpacks until the stream ends or there are `enough` bytes. Between what it reports and the end
/// of `to` it may leave anything; behind `to` it writes nothing. The error says 'ends' when `from`
/// is too short. ErrorKind::Config, except where the host has no memory for the decoder.
Result<Unpacked> unpack(Compression compression, std::span<const std::byte> from,
                        std::span<std::byte> to,
                        std::size_t enough = std::numeric_limits<std::size_t>::max());

}  // namespace vmm
