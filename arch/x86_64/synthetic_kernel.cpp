// SPDX-License-Identifier: Apache-2.0
#include "x86_64/synthetic_kernel.hpp"

#include <algorithm>
#include <span>
#include <string_view>

#include "x86_64/boot_params.hpp"

namespace vmm::x86_64::test {
namespace {

namespace bp = boot_params;
using vmm::test::append;
using vmm::test::put;
using vmm::test::put_value;

void put_setup_header(ByteVector& file, const SyntheticBzImage& image, std::size_t code_size) {
    put_value(file, bp::kSetupSects, std::uint8_t{3});
    put_value(file, bp::kSystemSize, static_cast<std::uint32_t>(code_size / 16));
    put_value(file, bp::kBootFlag, bp::kBootFlagValue);
    put_value(file, bp::kJump, std::uint16_t{0x6aeb});
    put_value(file, bp::kMagic, bp::kMagicValue);
    put_value(file, bp::kVersion, image.protocol);
    put_value(file, bp::kKernelVersion, std::uint16_t{0x200});
    put_value(file, bp::kLoadFlags, image.load_flags);
    put_value(file, bp::kInitrdAddressMax, image.initrd_address_max);
    put_value(file, bp::kKernelAlignment, image.alignment);
    put_value(file, bp::kRelocatable, image.relocatable);
    put_value(file, bp::kXLoadFlags, image.xload_flags);
    put_value(file, bp::kCommandLineSize, image.command_line_size);
    put_value(file, bp::kPreferredAddress, image.preferred);
    put_value(file, bp::kInitSize, image.init_size);
    put(file, 0x400, std::as_bytes(std::span{std::string_view{image.version}}));
}

}  // namespace

ByteVector relocation_table(const std::vector<std::uint32_t>& pointers64,
                            const std::vector<std::uint32_t>& negated32,
                            const std::vector<std::uint32_t>& pointers32) {
    ByteVector table;
    for (const auto* list : {&pointers64, &negated32, &pointers32}) {
        append(table, std::uint32_t{0});
        for (const std::uint32_t place : *list)
            append(table, place);
    }
    return table;
}

ByteVector make_bzimage(const SyntheticBzImage& image) {
    constexpr std::size_t kSetup = std::size_t{4} * 512;
    ByteVector payload = pack(image.compression, image.payload);
    if (image.compression != Compression::Gzip)
        append(payload, static_cast<std::uint32_t>(image.payload.size()));
    ByteVector file(kSetup + image.code_before_payload, std::byte{0});
    std::fill(file.begin() + kSetup, file.end(), std::byte{0xcc});
    file.insert(file.end(), payload.begin(), payload.end());
    file.resize((file.size() + 15) / 16 * 16);
    put_setup_header(file, image, file.size() - kSetup);
    put_value(file, bp::kPayloadOffset, static_cast<std::uint32_t>(image.code_before_payload));
    put_value(file, bp::kPayloadLength, static_cast<std::uint32_t>(payload.size()));
    return file;
}

}  // namespace vmm::x86_64::test
