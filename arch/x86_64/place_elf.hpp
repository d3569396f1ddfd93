// Puts an ELF kernel into guest RAM: read from a file, or unpacked straight to where it shall be.
//
// RAM must be zero and no vCPU may run: the part of a segment that is not in the file is not
// written again. What is found in guest memory here was put there a moment ago by ourselves.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "vmm/error.hpp"
#include "vmm/guest_memory.hpp"
#include "x86_64/boot_file.hpp"
#include "x86_64/elf.hpp"
#include "x86_64/kaslr.hpp"
#include "x86_64/placement.hpp"
#include "x86_64/unpack.hpp"

namespace vmm::x86_64 {

/// Reserves the segments, and checks that the entry is in one.
Result<> take_segments(const ElfImage& image, Placement& placement);

/// Copies the segments from a file that is not compressed.
Result<> place_from_file(const BootFile& file, const ElfImage& image, GuestMemory& memory);

struct PackedElf {
    Compression compression = Compression::None;
    std::span<const std::byte> bytes;  ///< the compressed stream, its trailer included
    std::uint64_t size = 0;            ///< unpacked; 0 when the stream does not say
};

/// The headers of a compressed ELF, from unpacking only its start.
Result<ElfImage> peek_elf(const PackedElf& packed);

/// Unpacks in one pass to where the first segment belongs, then moves down the segments that lie
/// nearer together in memory than in the file. `move_by` gives the distance for relocation when the
/// kernel carries relocations; without it, nothing behind the last segment is unpacked.
/// After take_segments(). The segments' surroundings are used as scratch memory where they are
/// free.
struct PlacePacked {
    const PackedElf& packed;
    const ElfImage& image;
    const Placement& placement;
    std::optional<std::uint64_t> move_by;
};
struct PlacedPacked {
    bool relocated = false;
    KernelNotes notes;
};
Result<PlacedPacked> place_packed(const PlacePacked& what, GuestMemory& memory);

}  // namespace vmm::x86_64
