// SPDX-License-Identifier: Apache-2.0
// arm64 Images made up for tests.
#pragma once

#include <cstdint>

#include "payload/synthetic_elf.hpp"

namespace vmm::aarch64::test {

using vmm::test::ByteVector;

inline constexpr std::uint16_t kElfMachine = 183;  // EM_AARCH64

struct SyntheticImage {
    std::uint64_t text_offset = 0;
    std::uint64_t image_size = 0x2'0000;
    std::uint64_t flags = 2;  // pages of 4 KiB
    std::size_t file_size = 0x1'8000;
    std::uint32_t pe_at = 64;  // 0: without an EFI stub
    std::uint32_t sections_end = 0x1'8000;
};

/// The header, a PE header with two sections, and then 'K's.
inline ByteVector make_image(const SyntheticImage& image = {}) {
    using vmm::test::put_value;
    ByteVector bytes(image.file_size, std::byte{'K'});
    std::fill_n(bytes.begin(), 0x200, std::byte{0});
    put_value(bytes, 0, std::uint16_t{0x5a4d});
    put_value(bytes, 8, image.text_offset);
    put_value(bytes, 16, image.image_size);
    put_value(bytes, 24, image.flags);
    put_value(bytes, 56, std::uint32_t{0x644d'5241});
    put_value(bytes, 60, image.pe_at);
    if (image.pe_at == 0)
        return bytes;
    const std::size_t pe = image.pe_at;
    constexpr std::size_t kOptional = 0xa0, kSections = 24 + kOptional;
    put_value(bytes, pe, std::uint32_t{0x4550});
    put_value(bytes, pe + 4, std::uint16_t{0xaa64});
    put_value(bytes, pe + 6, std::uint16_t{2});
    put_value(bytes, pe + 20, std::uint16_t{kOptional});
    put_value(bytes, pe + kSections + 16, std::uint32_t{0x8000});
    put_value(bytes, pe + kSections + 20, std::uint32_t{0x1000});
    put_value(bytes, pe + kSections + 40 + 16, image.sections_end - 0x9000);
    put_value(bytes, pe + kSections + 40 + 20, std::uint32_t{0x9000});
    return bytes;
}

/// An EFI zboot image around a compressed one. Builds append the size of what is inside.
inline ByteVector make_zboot(std::span<const std::byte> packed) {
    using vmm::test::put_value;
    constexpr std::uint32_t kPayloadAt = 0x1000;
    ByteVector bytes(kPayloadAt);
    put_value(bytes, 0, std::uint32_t{0x5a4d});
    put_value(bytes, 4, std::uint32_t{0x676d'697a});
    put_value(bytes, 8, kPayloadAt);
    put_value(bytes, 12, static_cast<std::uint32_t>(packed.size()));
    vmm::test::put(bytes, kPayloadAt, packed);
    return bytes;
}

}  // namespace vmm::aarch64::test
