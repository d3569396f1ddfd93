// SPDX-License-Identifier: Apache-2.0
// ELF files made up for tests, and all the ways to compress them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "payload/unpack.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::test {

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

/// By the real libraries, as the Linux build does it.
ByteVector pack(Compression compression, std::span<const std::byte> bytes);

/// A value into a file that was made.
template <class T>
void poke(ByteVector& bytes, std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <class T>
void append(ByteVector& to, const T& value) {
    const auto bytes = std::as_bytes(std::span{&value, 1});
    to.insert(to.end(), bytes.begin(), bytes.end());
}

/// The file grows to hold them.
inline void put(ByteVector& file, std::size_t at, std::span<const std::byte> bytes) {
    file.resize(std::max(file.size(), at + bytes.size()));
    std::ranges::copy(bytes, file.begin() + static_cast<std::ptrdiff_t>(at));
}

template <class T>
void put_value(ByteVector& file, std::size_t at, const T& value) {
    put(file, at, std::as_bytes(std::span{&value, 1}));
}

}  // namespace vmm::test
