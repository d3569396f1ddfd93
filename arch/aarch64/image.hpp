// SPDX-License-Identifier: Apache-2.0
// The headers of an arm64 Linux Image and of the EFI zboot image around a compressed one.
//
// Spec: Linux Documentation/arch/arm64/booting.rst, 4; drivers/firmware/efi/libstub/zboot-header.S
// describes the latter: no other text does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace vmm::aarch64 {

/// As a mapping of the MMU has them, and as the header says it.
enum class PageSize : std::uint8_t { Unsaid, KiB4, KiB16, KiB64 };

std::string_view name_of(PageSize size);  ///< "4 KiB"

struct ImageHeader {
    static constexpr std::size_t kSize = 64;  // bytes

    std::uint64_t text_offset = 0;  ///< from a 2 MiB boundary; bytes
    std::uint64_t image_size = 0;   ///< in memory, with what the file has no bytes for; 0: unsaid
    std::uint64_t flags = 0;
    std::uint32_t pe_offset = 0;  ///< of the PE header of its EFI stub; 0: it has none

    bool is_big_endian() const { return (flags & 1) != 0; }
    PageSize page_size() const { return PageSize(flags >> 1 & 3); }
};

/// None: `head` does not begin with such a header.
std::optional<ImageHeader> parse_image(std::span<const std::byte> head);

/// Where the last section of the PE file ends that the Image is as well: bytes of the file. None if
/// it is not such a file, or `head` has not got all of its headers.
std::optional<std::uint64_t> pe_file_end(const ImageHeader& header,
                                         std::span<const std::byte> head);

/// The compressed Image in a zboot image.
struct ZbootHeader {
    std::uint64_t offset = 0;  ///< in the file; bytes
    std::uint64_t size = 0;    ///< bytes
};

std::optional<ZbootHeader> parse_zboot(std::span<const std::byte> head);

}  // namespace vmm::aarch64
