// SPDX-License-Identifier: Apache-2.0
// Just enough ELF to place a kernel: program headers and the notes that say how to enter it.
//
// Everything comes from a file somebody gave us: all numbers are checked here, once, and an
// ElfImage only holds segments whose ranges do not wrap. Specifications: System V ABI, chapter 5;
// xen/include/public/elfnote.h (note 18, PHYS32_ENTRY).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/error.hpp"

namespace vmm {

/// What an ELF file must be for.
struct ElfTarget {
    std::uint16_t machine = 0;  ///< e_machine
    std::string_view name;      ///< "x86-64", for errors
    std::string_view advice;    ///< which files to give instead
};

/// A range of the file that goes to a range of memory; what memory has more than the file is zero.
struct ElfSegment {
    std::uint64_t offset = 0;       ///< in the file
    std::uint64_t file_size = 0;    ///< bytes, at most memory_size
    std::uint64_t physical = 0;     ///< guest physical address
    std::uint64_t memory_size = 0;  ///< bytes
};

struct ElfNotes {
    std::uint64_t offset = 0;  ///< in the file
    std::uint64_t size = 0;
};

struct ElfImage {
    std::uint64_t entry = 0;         ///< e_entry; Linux puts a physical address there
    std::vector<ElfSegment> loads;   ///< PT_LOAD with memory_size > 0, ascending by address
    std::vector<ElfNotes> notes;     ///< PT_NOTE
    std::uint64_t sections_end = 0;  ///< end of the section header table in the file, 0 without one

    std::uint64_t lowest() const;   ///< first byte of the lowest segment
    std::uint64_t highest() const;  ///< one past the last byte of the highest one
    std::uint64_t file_end()
        const;  ///< one past the last byte of the file that segments or notes use
};

/// Headers of more than this many bytes from the start of the file are refused.
inline constexpr std::size_t kElfHeadSize = 16 * 1024;

bool is_elf(std::span<const std::byte> head);

/// `head` is the start of the file, kElfHeadSize bytes or all of it. The error names what was found
/// instead, with the target's advice.
Result<ElfImage> parse_elf(std::span<const std::byte> head, const ElfTarget& target);

/// What the notes say.
struct KernelNotes {
    std::optional<std::uint32_t> pvh_entry;  ///< physical address
    bool is_linux = false;
};

/// `notes` is the content of one PT_NOTE segment; a malformed rest is ignored.
void read_notes(std::span<const std::byte> notes, KernelNotes& into);

}  // namespace vmm
