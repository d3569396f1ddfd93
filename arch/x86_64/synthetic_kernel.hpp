// Kernels made up for tests: ELF files, bzImages around them, and all the ways to compress them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/unique_fd.hpp"
#include "x86_64/unpack.hpp"

namespace vmm::x86_64::test {

using ByteVector = std::vector<std::byte>;

/// A file in memory that has a path.
class MemoryFile {
public:
    explicit MemoryFile(std::span<const std::byte> content);
    explicit MemoryFile(std::string_view content) : MemoryFile{std::as_bytes(std::span{content})} {}

    std::string path() const;
    int fd() const { return fd_.get(); }

private:
    UniqueFd fd_;
};

struct SyntheticSegment {
    std::uint64_t offset = 0x1000;
    std::uint64_t physical = 0x100'0000;
    std::uint64_t file_size = 0x1000;
    std::uint64_t memory_size = 0x1000;
    char fill = 'K';  ///< the content: this character, its first 16 bytes counting up from it
};

struct SyntheticElf {
    std::uint16_t machine = 62;  // EM_X86_64
    std::uint16_t type = 2;      // ET_EXEC
    std::uint8_t elf_class = 2;  // 64 bits
    std::uint64_t entry = 0x100'0000;
    std::vector<SyntheticSegment> segments{SyntheticSegment{}};
    std::uint32_t pvh_entry = 0;  ///< 0: no note
    std::uint64_t notes_at = 0x800;
    bool linux_note = false;
    bool section_table = false;  ///< one empty entry at the end, where appended data starts
    bool interpreter = false;    ///< a program, not a kernel
};

ByteVector make_elf(const SyntheticElf& elf);

/// What Linux's build tool for relocations appends.
ByteVector relocation_table(const std::vector<std::uint32_t>& pointers64,
                            const std::vector<std::uint32_t>& negated32,
                            const std::vector<std::uint32_t>& pointers32);

/// By the real libraries, as the Linux build does it.
ByteVector pack(Compression compression, std::span<const std::byte> bytes);

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

/// A value into a file that was made.
template <class T>
void poke(ByteVector& bytes, std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

}  // namespace vmm::x86_64::test
