// SPDX-License-Identifier: Apache-2.0
#include "payload/place_elf.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "payload/host_span.hpp"
#include "vmm/size_text.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

Error no_memory(Gpa at, std::uint64_t size) {
    return Error{ErrorKind::Config, cat("no memory for ", size, " bytes of the kernel at ", at)};
}

/// Where the whole file is unpacked to: guest RAM around the segments, or memory of our own.
class Scratch {
public:
    /// In guest RAM when every segment then lies at or above its final place, in the same order.
    static Result<Scratch> choose(const PlacePacked& what, std::uint64_t size, GuestMemory& memory);

    std::span<std::byte> bytes() const { return bytes_; }
    /// Guest RAM that holds what was unpacked, and must be zero where a segment wants zeros.
    GpaRange dirty() const { return dirty_; }

private:
    static Result<Scratch> in_host(std::uint64_t size);

    FileMapping owned_;
    std::span<std::byte> bytes_;
    GpaRange dirty_;
};

bool same_order(const ElfImage& image) {
    for (std::size_t i = 1; i < image.loads.size(); ++i)
        if (image.loads[i].offset < image.loads[i - 1].offset + image.loads[i - 1].file_size)
            return false;
    return true;
}

/// Free RAM, or RAM of the kernel itself.
bool usable(const Placement& placement, const ElfImage& image, GpaRange range) {
    std::uint64_t at = range.first.value();
    const std::uint64_t end = end_of(range);
    for (const ElfSegment& segment : image.loads) {
        if (segment.physical >= end || segment.physical + segment.memory_size <= at)
            continue;
        if (segment.physical > at && !placement.is_free({Gpa{at}, segment.physical - at}))
            return false;
        at = segment.physical + segment.memory_size;
    }
    return at >= end || placement.is_free({Gpa{at}, end - at});
}

Result<Scratch> Scratch::in_host(std::uint64_t size) {
    constexpr std::uint64_t kMost = std::uint64_t{1}
                                    << 30;  // a few kilobytes can unpack to terabytes
    if (size == 0 || size > kMost)
        return std::unexpected(Error{
            ErrorKind::Config, cat("unpacks to ", size_text(size), ", more than a kernel has")});
    Scratch scratch;
    void* const base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return std::unexpected(Error::os("mmap", errno).context("unpack the kernel"));
    scratch.owned_ = FileMapping{base, size, {}};
    scratch.bytes_ = {static_cast<std::byte*>(base), size};
    return scratch;
}

Result<Scratch> Scratch::choose(const PlacePacked& what, std::uint64_t size, GuestMemory& memory) {
    std::uint64_t base = what.scratch_from.value();
    for (const ElfSegment& segment : what.image.loads)
        if (segment.physical > segment.offset)
            base = std::max(base, segment.physical - segment.offset);
    const GpaRange range{Gpa{base}, size};
    if (!same_order(what.image) || !usable(what.placement, what.image, range))
        return in_host(size);
    Scratch scratch;
    scratch.bytes_ = host_span(memory, range.first, size);
    scratch.dirty_ = range;
    if (scratch.bytes_.empty())
        return in_host(size);
    return scratch;
}

bool is_zero(std::span<const std::byte> bytes) {
    return bytes[0] == std::byte{0} &&
           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

/// memmove() downwards that leaves zeros alone where zeros are: pages that nobody has touched stay
/// so, on both sides.
void move_down(std::span<const std::byte> from, std::byte* to) {
    // Half a page: what glibc moves with vectors. From a page up it takes REP MOVSB, which counts
    // (and where the host is emulated, costs) an instruction a byte.
    constexpr std::size_t kPiece = Placement::kPageSize / 2;
    while (!from.empty()) {
        const auto piece = from.first(std::min<std::size_t>(from.size(), kPiece));
        if (!is_zero(piece) || !is_zero({to, piece.size()}))
            std::memmove(to, piece.data(), piece.size());
        to += piece.size();
        from = from.subspan(piece.size());
    }
}

/// Ascending, and never upwards: no segment is overwritten before it was moved.
Result<> move_segments(const ElfImage& image, std::span<const std::byte> file,
                       GuestMemory& memory) {
    for (const ElfSegment& segment : image.loads) {
        if (segment.file_size == 0)
            continue;
        const auto to = host_span(memory, Gpa{segment.physical}, segment.file_size);
        if (to.empty())
            return std::unexpected(no_memory(Gpa{segment.physical}, segment.file_size));
        const auto from = file.subspan(segment.offset, segment.file_size);
        if (to.data() != from.data())
            move_down(from, to.data());
    }
    return {};
}

/// Zeros after a segment's file content, where unpacking has left something else.
Result<> clear_tails(const ElfImage& image, GpaRange dirty, GuestMemory& memory) {
    for (const ElfSegment& segment : image.loads) {
        const std::uint64_t first =
            std::max(segment.physical + segment.file_size, dirty.first.value());
        const std::uint64_t end = std::min(segment.physical + segment.memory_size, end_of(dirty));
        if (first >= end)
            continue;
        const auto bytes = host_span(memory, Gpa{first}, end - first);
        if (bytes.empty())
            return std::unexpected(no_memory(Gpa{first}, end - first));
        std::memset(bytes.data(), 0, bytes.size());
    }
    return {};
}

/// Before the segments move: notes lie in the file, most often inside a segment.
KernelNotes notes_of(const ElfImage& image, std::span<const std::byte> file) {
    constexpr std::uint64_t kMostNotes = std::uint64_t{64} << 10;
    KernelNotes notes;
    for (const ElfNotes& range : image.notes)
        read_notes(file.subspan(range.offset, std::min(range.size, kMostNotes)), notes);
    return notes;
}

Result<bool> relocate_image(const ElfImage& image, std::span<const std::byte> appended,
                            const ElfRelocator& relocator, GuestMemory& memory) {
    const auto kernel = host_span(memory, Gpa{image.lowest()}, image.highest() - image.lowest());
    return relocator.relocate(appended, kernel, image.lowest());
}

/// A copy, because clearing and moving may write over the original.
class Appended {
public:
    Appended(const ElfImage& image, std::span<const std::byte> file) {
        if (image.sections_end == 0 || image.sections_end < image.file_end() ||
            image.sections_end >= file.size())
            return;
        size_ = file.size() - image.sections_end;
        copy_.reset(new std::byte[size_]);
        std::memcpy(copy_.get(), file.data() + image.sections_end, size_);
    }
    std::span<const std::byte> bytes() const { return {copy_.get(), size_}; }

private:
    std::unique_ptr<std::byte[]> copy_;
    std::size_t size_ = 0;
};

/// Bytes of scratch memory for a file of which `needed` are wanted.
std::uint64_t scratch_size(const PackedElf& packed, std::uint64_t needed) {
    if (packed.compression != Compression::Zstd)
        return needed;
    const std::uint64_t with_slack = needed + kUnpackSlack;
    return packed.size == 0 ? with_slack : std::clamp(packed.size, needed, with_slack);
}

}  // namespace

Result<> take_segments(const ElfImage& image, Placement& placement) {
    for (const ElfSegment& segment : image.loads)
        VMM_TRY(placement.take({Gpa{segment.physical}, segment.memory_size}, "kernel segment"));
    return {};
}

Result<> check_entry(const ElfImage& image, Gpa entry) {
    if (std::ranges::any_of(image.loads, [entry](const ElfSegment& segment) {
            return GpaRange{Gpa{segment.physical}, segment.memory_size}.contains(entry, 1);
        }))
        return {};
    return std::unexpected(Error{
        ErrorKind::Config, cat("the entry point ", entry, " is in none of its segments: damaged")});
}

Result<> place_from_file(const BootFile& file, const ElfImage& image, GuestMemory& memory) {
    for (const ElfSegment& segment : image.loads)
        VMM_TRY(file.read(segment.offset, segment.file_size, memory, Gpa{segment.physical}));
    return {};
}

Result<ElfImage> peek_elf(const PackedElf& packed, const ElfTarget& target) {
    const std::unique_ptr<std::byte[]> buffer{new std::byte[kElfHeadSize]{}};
    const auto got =
        VMM_TRY(unpack(packed.compression, packed.bytes, {buffer.get(), kElfHeadSize}));
    const std::span<const std::byte> head{buffer.get(), got.size};
    if (!is_elf(head))
        return std::unexpected(Error{ErrorKind::Config, "its payload is no ELF file"});
    return parse_elf(head, target);
}

Result<PlacedPacked> place_packed(const PlacePacked& what, GuestMemory& memory) {
    const ElfImage& image = what.image;
    const std::uint64_t needed = image.file_end();
    const bool relocate = what.relocator != nullptr && what.packed.size > image.sections_end;
    const std::uint64_t wanted = relocate ? std::max(needed, what.packed.size) : needed;
    const auto scratch = VMM_TRY(Scratch::choose(what, scratch_size(what.packed, wanted), memory));
    const auto got =
        VMM_TRY(unpack(what.packed.compression, what.packed.bytes, scratch.bytes(), wanted));
    if (got.size < needed)
        return std::unexpected(Error{
            ErrorKind::Config, cat("unpacks to ", got.size, " bytes of ", needed, ": truncated")});
    const std::span<const std::byte> file = scratch.bytes().first(got.size);
    PlacedPacked placed{.notes = notes_of(image, file)};
    const Appended appended{image, relocate ? file : std::span<const std::byte>{}};
    VMM_TRY(move_segments(image, file, memory));
    if (relocate)
        placed.relocated =
            VMM_TRY(relocate_image(image, appended.bytes(), *what.relocator, memory));
    VMM_TRY(clear_tails(image, scratch.dirty(), memory));
    return placed;
}

}  // namespace vmm
