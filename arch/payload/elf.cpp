// SPDX-License-Identifier: Apache-2.0
#include "payload/elf.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/text.hpp"

namespace vmm {
namespace {

/// Nothing of ours is higher; sums of two such numbers do not wrap.
constexpr std::uint64_t kHighestAddress = std::uint64_t{1} << 52;
constexpr std::size_t kMostSegments = 64;

Error bad(std::string what) {
    return Error{ErrorKind::Config, std::move(what)};
}

template <class T>
std::optional<T> take(std::span<const std::byte> from, std::uint64_t at) {
    if (from.size() < sizeof(T) || at > from.size() - sizeof(T))
        return std::nullopt;
    T value{};
    std::memcpy(&value, from.data() + at, sizeof value);
    return value;
}

std::string machine_name(std::uint16_t machine) {
    switch (machine) {
        case EM_X86_64:
            return "x86-64";
        case EM_AARCH64:
            return "aarch64 (arm64)";
        case EM_ARM:
            return "32-bit ARM";
        case EM_386:
            return "32-bit x86";
        case EM_RISCV:
            return "RISC-V";
        case EM_PPC64:
            return "64-bit PowerPC";
        case EM_PPC:
            return "PowerPC";
        case EM_S390:
            return "IBM Z (s390)";
        case EM_MIPS:
            return "MIPS";
        case EM_SPARCV9:
            return "64-bit SPARC";
        case 258:
            return "LoongArch";
        default:
            return cat("a machine with ELF number ", machine);
    }
}

std::string type_name(std::uint16_t type) {
    switch (type) {
        case ET_REL:
            return "an object file (.o or a kernel module)";
        case ET_CORE:
            return "a core dump";
        default:
            return cat("of ELF type ", type);
    }
}

Result<> check_ident(std::span<const std::byte> head, const ElfTarget& target) {
    const auto ident = [&](std::size_t at) { return std::to_integer<unsigned>(head[at]); };
    // e_machine is at the same place in both classes.
    const auto machine = take<std::uint16_t>(head, offsetof(Elf64_Ehdr, e_machine));
    if (!machine)
        return std::unexpected(bad("an ELF file that ends within its header: truncated"));
    if (ident(EI_DATA) != ELFDATA2LSB)
        return std::unexpected(bad(cat("a big-endian ELF file, which is not for ", target.name)));
    if (*machine != target.machine)
        return std::unexpected(
            bad(cat("an ELF file for ", machine_name(*machine), ", not ", target.name)));
    if (ident(EI_CLASS) != ELFCLASS64)
        return std::unexpected(bad("a 32-bit ELF file; a 64-bit one is needed"));
    return {};
}

Result<ElfSegment> check_load(const Elf64_Phdr& header) {
    if (header.p_filesz > header.p_memsz)
        return std::unexpected(bad("an ELF file with a segment larger in the file than in memory"));
    for (const std::uint64_t number : {header.p_offset, header.p_paddr, header.p_memsz})
        if (number > kHighestAddress)
            return std::unexpected(bad(cat("an ELF file whose segment at ", Hex{header.p_paddr},
                                           " (", Hex{header.p_memsz}, " bytes, file offset ",
                                           Hex{header.p_offset}, ") lies beyond all memory")));
    return ElfSegment{header.p_offset, header.p_filesz, header.p_paddr, header.p_memsz};
}

Result<> check_disjoint(const ElfImage& image) {
    for (std::size_t i = 1; i < image.loads.size(); ++i) {
        const auto& before = image.loads[i - 1];
        const auto& after = image.loads[i];
        if (before.physical + before.memory_size > after.physical)
            return std::unexpected(bad(cat("an ELF file whose segments at ", Hex{before.physical},
                                           " and ", Hex{after.physical}, " overlap")));
    }
    return {};
}

Result<> add_segment(ElfImage& image, const Elf64_Phdr& header) {
    if (header.p_type == PT_NOTE && header.p_offset <= kHighestAddress &&
        header.p_filesz <= kHighestAddress)
        image.notes.push_back({header.p_offset, header.p_filesz});
    if (header.p_type == PT_INTERP)
        return std::unexpected(bad("an ELF program for an operating system, not a kernel"));
    if (header.p_type != PT_LOAD || header.p_memsz == 0)
        return {};
    const auto segment = VMM_TRY(check_load(header));
    image.loads.push_back(segment);
    return {};
}

Result<ElfImage> parse(std::span<const std::byte> head, const ElfTarget& target) {
    VMM_TRY(check_ident(head, target));
    const auto header = take<Elf64_Ehdr>(head, 0);
    if (!header)
        return std::unexpected(bad("an ELF file that ends within its header: truncated"));
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return std::unexpected(
            bad(cat("an ELF file that is ", type_name(header->e_type), ", not a kernel")));
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0)
        return std::unexpected(bad("an ELF file without program headers: nothing to load"));
    if (header->e_phnum > kMostSegments)
        return std::unexpected(bad(cat("an ELF file with ", header->e_phnum, " program headers")));
    ElfImage image{.entry = header->e_entry};
    for (std::size_t i = 0; i < header->e_phnum; ++i) {
        const auto segment = header->e_phoff > head.size()
                                 ? std::nullopt
                                 : take<Elf64_Phdr>(head, header->e_phoff + i * sizeof(Elf64_Phdr));
        if (!segment)
            return std::unexpected(
                bad("an ELF file that ends within its program headers, or has "
                    "them far from its start: truncated"));
        VMM_TRY(add_segment(image, *segment));
    }
    if (image.loads.empty() || image.file_end() == 0)
        return std::unexpected(bad("an ELF file with nothing to load"));
    std::ranges::sort(image.loads, {}, &ElfSegment::physical);
    VMM_TRY(check_disjoint(image));
    if (header->e_shoff <= kHighestAddress && header->e_shnum != 0)
        image.sections_end = header->e_shoff + std::uint64_t{header->e_shnum} * header->e_shentsize;
    return image;
}

}  // namespace

std::uint64_t ElfImage::lowest() const {
    return loads.empty() ? 0 : loads.front().physical;
}

std::uint64_t ElfImage::highest() const {
    return loads.empty() ? 0 : loads.back().physical + loads.back().memory_size;
}

std::uint64_t ElfImage::file_end() const {
    std::uint64_t end = 0;
    for (const ElfSegment& segment : loads)
        end = std::max(end, segment.offset + segment.file_size);
    for (const ElfNotes& note : notes)
        end = std::max(end, note.offset + note.size);
    return end;
}

bool is_elf(std::span<const std::byte> head) {
    return head.size() >= SELFMAG && std::memcmp(head.data(), ELFMAG, SELFMAG) == 0;
}

Result<ElfImage> parse_elf(std::span<const std::byte> head, const ElfTarget& target) {
    auto image = parse(head, target);
    if (!image)
        return std::unexpected(std::move(image).error().hint(std::string{target.advice}));
    return image;
}

void read_notes(std::span<const std::byte> notes, KernelNotes& into) {
    constexpr std::uint32_t kXenGuestOs = 6;
    constexpr std::uint32_t kXenPhys32Entry = 18;
    const auto padded = [](std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; };
    while (const auto note = take<Elf64_Nhdr>(notes, 0)) {
        const std::uint64_t content_at = sizeof(Elf64_Nhdr) + padded(note->n_namesz);
        const std::uint64_t next = content_at + padded(note->n_descsz);
        if (content_at + note->n_descsz > notes.size())
            return;
        const auto* const text = reinterpret_cast<const char*>(notes.data());
        std::string_view name{text + sizeof(Elf64_Nhdr), note->n_namesz};
        name = name.substr(0, name.find('\0'));
        const std::string_view content{text + content_at, note->n_descsz};
        if (name == "Linux")
            into.is_linux = true;
        if (name == "Xen" && note->n_type == kXenGuestOs && content.starts_with("linux"))
            into.is_linux = true;
        // The entry is four bytes, or eight when a 64-bit assembler made it (Linux).
        if (name == "Xen" && note->n_type == kXenPhys32Entry && content.size() >= 4 &&
            !into.pvh_entry)
            into.pvh_entry = take<std::uint32_t>(notes, content_at);
        if (next >= notes.size())
            return;
        notes = notes.subspan(next);
    }
}

}  // namespace vmm
