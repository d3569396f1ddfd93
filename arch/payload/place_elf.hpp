// SPDX-License-Identifier: Apache-2.0
// Puts an ELF kernel into guest RAM: read from a file, or unpacked straight to where it shall be.
//
// RAM must be zero and no vCPU may run: the part of a segment that is not in the file is not
// written again. What is found in guest memory here was put there a moment ago by ourselves.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "payload/boot_file.hpp"
#include "payload/elf.hpp"
#include "payload/placement.hpp"
#include "payload/unpack.hpp"
#include "vmm/error.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm {

/// Reserves the segments.
Result<> take_segments(const ElfImage& image, Placement& placement);

/// It has to lie in one of them.
Result<> check_entry(const ElfImage& image, Gpa entry);

/// Copies the segments from a file that is not compressed.
Result<> place_from_file(const BootFile& file, const ElfImage& image, GuestMemory& memory);

struct PackedElf {
    Compression compression = Compression::None;
    std::span<const std::byte> bytes;  ///< the compressed stream, its trailer included
    std::uint64_t size = 0;            ///< unpacked; 0 when the stream does not say
};

/// The headers of a compressed ELF, from unpacking only its start.
Result<ElfImage> peek_elf(const PackedElf& packed, const ElfTarget& target);

/// Moves a kernel to the virtual address where it will run.
///
/// Threads: one.
class ElfRelocator {
public:
    virtual ~ElfRelocator() = default;

    /// `appended` is what follows the ELF file, where builds put lists of places to change; `image`
    /// is the kernel in memory, from guest physical address `physical` on. False if there are no
    /// such lists; an error if they are damaged.
    virtual Result<bool> relocate(std::span<const std::byte> appended, std::span<std::byte> image,
                                  std::uint64_t physical) const = 0;
};

/// Unpacks in one pass to where the first segment belongs, then moves down the segments that lie
/// nearer together in memory than in the file. Without a `relocator`, nothing after the last
/// segment is unpacked. After take_segments(). The segments' surroundings are used as scratch
/// memory where they are free, from `scratch_from` on.
struct PlacePacked {
    const PackedElf& packed;
    const ElfImage& image;
    const Placement& placement;
    Gpa scratch_from;
    const ElfRelocator* relocator = nullptr;
};
struct PlacedPacked {
    bool relocated = false;
    KernelNotes notes;
};
Result<PlacedPacked> place_packed(const PlacePacked& what, GuestMemory& memory);

}  // namespace vmm
