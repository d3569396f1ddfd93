// SPDX-License-Identifier: Apache-2.0
#include "aarch64/image.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace vmm::aarch64 {
namespace {

// Both are little-endian, as we are.
template <class T>
std::optional<T> number(std::span<const std::byte> bytes, std::uint64_t at) {
    if (bytes.size() < sizeof(T) || at > bytes.size() - sizeof(T))
        return std::nullopt;
    T value{};
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

}  // namespace

std::string_view name_of(PageSize size) {
    constexpr std::array<std::string_view, 4> kNames{"unknown", "4 KiB", "16 KiB", "64 KiB"};
    return kNames[static_cast<std::size_t>(size)];
}

std::optional<ImageHeader> parse_image(std::span<const std::byte> head) {
    constexpr std::uint32_t kMagic = 0x644d'5241;  // "ARM\x64"
    if (head.size() < ImageHeader::kSize || number<std::uint32_t>(head, 56) != kMagic)
        return std::nullopt;
    ImageHeader header{.text_offset = number<std::uint64_t>(head, 8).value_or(0),
                       .image_size = number<std::uint64_t>(head, 16).value_or(0),
                       .flags = number<std::uint64_t>(head, 24).value_or(0),
                       .pe_offset = number<std::uint32_t>(head, 60).value_or(0)};
    // What the offset was before Linux 3.17 said it.
    constexpr std::uint64_t kUsualOffset = 0x8'0000;
    if (header.image_size == 0)
        header.text_offset = kUsualOffset;
    return header;
}

std::optional<std::uint64_t> pe_file_end(const ImageHeader& header,
                                         std::span<const std::byte> head) {
    // Spec: PE Format, COFF file header and section table.
    constexpr std::uint64_t kFileHeader = 24, kSection = 40, kSizeOfData = 16, kDataAt = 20;
    const std::uint64_t at = header.pe_offset;
    const auto sections = number<std::uint16_t>(head, at + 6);
    const auto optional_header = number<std::uint16_t>(head, at + 20);
    if (at == 0 || number<std::uint32_t>(head, at) != 0x4550 || !sections || !optional_header)
        return std::nullopt;
    std::uint64_t end = 0;
    for (std::uint64_t i = 0; i < *sections; ++i) {
        const std::uint64_t section = at + kFileHeader + *optional_header + i * kSection;
        const auto size = number<std::uint32_t>(head, section + kSizeOfData);
        const auto offset = number<std::uint32_t>(head, section + kDataAt);
        if (!size || !offset)
            return std::nullopt;
        end = std::max(end, std::uint64_t{*offset} + *size);
    }
    return end;
}

std::optional<ZbootHeader> parse_zboot(std::span<const std::byte> head) {
    constexpr std::uint32_t kMagic = 0x676d'697a;  // "zimg"
    const auto offset = number<std::uint32_t>(head, 8), size = number<std::uint32_t>(head, 12);
    if (number<std::uint16_t>(head, 0) != 0x5a4d || number<std::uint32_t>(head, 4) != kMagic ||
        !offset || !size)
        return std::nullopt;
    return ZbootHeader{*offset, *size};
}

}  // namespace vmm::aarch64
