// SPDX-License-Identifier: Apache-2.0
// Kernels made up for tests: bzImages around ELF files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "payload/synthetic_elf.hpp"
#include "payload/unpack.hpp"

namespace vmm::x86_64::test {

using vmm::test::ByteVector;
using vmm::test::make_elf;
using vmm::test::MemoryFile;
using vmm::test::pack;
using vmm::test::poke;
using vmm::test::SyntheticElf;
using vmm::test::SyntheticSegment;

/// What Linux's build tool for relocations appends.
ByteVector relocation_table(const std::vector<std::uint32_t>& pointers64,
                            const std::vector<std::uint32_t>& negated32,
                            const std::vector<std::uint32_t>& pointers32);

struct SyntheticBzImage {
    std::uint16_t protocol = 0x20f;
    std::uint8_t load_flags = 0x01;
    std::uint16_t xload_flags = 0x0001;
    std::uint8_t relocatable = 1;
    std::uint32_t alignment = 0x20'0000;
    std::uint64_t preferred = 0x100'0000;
    std::uint32_t init_size = 0x40'0000;
    std::uint32_t command_line_size = 2047;
    std::uint32_t initrd_address_max = 0x7fff'ffff;
    std::string version = "6.99.0-synthetic (tester) #1";
    Compression compression = Compression::Zstd;
    ByteVector payload;  ///< not compressed yet
    std::size_t code_before_payload = 0x400;
};

ByteVector make_bzimage(const SyntheticBzImage& image);

}  // namespace vmm::x86_64::test
