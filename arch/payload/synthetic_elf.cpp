// SPDX-License-Identifier: Apache-2.0
#include "payload/synthetic_elf.hpp"

#include <elf.h>
#include <lzma.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <lz4.h>
#include <lz4frame.h>

#include "vmm/text.hpp"

namespace vmm::test {
namespace {

void must(bool condition) {
    if (!condition)
        std::abort();
}

void append_note(ByteVector& to, std::string_view name, std::uint32_t type,
                 std::span<const std::byte> content) {
    append(to, Elf64_Nhdr{.n_namesz = static_cast<Elf64_Word>(name.size() + 1),
                          .n_descsz = static_cast<Elf64_Word>(content.size()),
                          .n_type = type});
    const auto text = std::as_bytes(std::span{name});
    to.insert(to.end(), text.begin(), text.end());
    to.resize((to.size() + 1 + 3) / 4 * 4);
    to.insert(to.end(), content.begin(), content.end());
    to.resize((to.size() + 3) / 4 * 4);
}

ByteVector notes_of(const SyntheticElf& elf) {
    ByteVector notes;
    if (elf.linux_note)
        append_note(notes, "Xen", 6, std::as_bytes(std::span{"linux"}));
    if (elf.pvh_entry != 0)
        append_note(notes, "Xen", 18, std::as_bytes(std::span{&elf.pvh_entry, 1}));
    return notes;
}

ByteVector pack_gzip(std::span<const std::byte> bytes) {
    ByteVector out(bytes.size() + bytes.size() / 100 + 1024);
    z_stream stream{};
    must(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    must(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

ByteVector pack_xz(std::span<const std::byte> bytes) {
    lzma_options_lzma options{};
    must(lzma_lzma_preset(&options, 6) == 0);
    const std::array<lzma_filter, 3> filters{
        lzma_filter{LZMA_FILTER_X86, nullptr},
        lzma_filter{LZMA_FILTER_LZMA2, &options},
        lzma_filter{LZMA_VLI_UNKNOWN, nullptr},
    };
    ByteVector out(lzma_stream_buffer_bound(bytes.size()));
    std::size_t size = 0;
    must(lzma_stream_buffer_encode(const_cast<lzma_filter*>(filters.data()), LZMA_CHECK_CRC32,
                                   nullptr, reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                   bytes.size(), reinterpret_cast<std::uint8_t*>(out.data()), &size,
                                   out.size()) == LZMA_OK);
    out.resize(size);
    return out;
}

ByteVector pack_zstd(std::span<const std::byte> bytes) {
    ByteVector out(ZSTD_compressBound(bytes.size()));
    ZSTD_CCtx* const context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);  // as the zstd program does
    const std::size_t size =
        ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size());
    must(ZSTD_isError(size) == 0);
    ZSTD_freeCCtx(context);
    out.resize(size);
    return out;
}

ByteVector pack_lz4_legacy(std::span<const std::byte> bytes) {
    constexpr std::size_t kBlock = std::size_t{8} << 20;
    ByteVector out;
    append(out, std::uint32_t{0x184c'2102});
    for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
        const auto block = bytes.subspan(at, std::min(kBlock, bytes.size() - at));
        ByteVector packed(
            static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(block.size()))));
        const int size = LZ4_compress_default(
            reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(packed.data()),
            static_cast<int>(block.size()), static_cast<int>(packed.size()));
        must(size > 0);
        append(out, static_cast<std::uint32_t>(size));
        out.insert(out.end(), packed.begin(), packed.begin() + size);
    }
    return out;
}

ByteVector pack_lz4_frame(std::span<const std::byte> bytes) {
    LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
    preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    ByteVector out(LZ4F_compressFrameBound(bytes.size(), &preferences));
    const std::size_t size =
        LZ4F_compressFrame(out.data(), out.size(), bytes.data(), bytes.size(), &preferences);
    must(LZ4F_isError(size) == 0);
    out.resize(size);
    return out;
}

}  // namespace

MemoryFile::MemoryFile(std::span<const std::byte> content)
    : fd_{::memfd_create("test", MFD_CLOEXEC)} {
    must(::write(fd_.get(), content.data(), content.size()) ==
         static_cast<ssize_t>(content.size()));
}

std::string MemoryFile::path() const {
    return cat("/proc/self/fd/", fd_.get());
}

ByteVector make_elf(const SyntheticElf& elf) {
    const ByteVector notes = notes_of(elf);
    ByteVector file(sizeof(Elf64_Ehdr));
    std::vector<Elf64_Phdr> headers;
    for (const SyntheticSegment& segment : elf.segments) {
        headers.push_back({.p_type = PT_LOAD,
                           .p_flags = 7,
                           .p_offset = segment.offset,
                           .p_vaddr = 0xffff'ffff'8000'0000 + segment.physical,
                           .p_paddr = segment.physical,
                           .p_filesz = segment.file_size,
                           .p_memsz = segment.memory_size,
                           .p_align = 0x1000});
        ByteVector content(segment.file_size, static_cast<std::byte>(segment.fill));
        for (std::size_t i = 0; i < std::min<std::size_t>(16, content.size()); ++i)
            content[i] = static_cast<std::byte>(segment.fill + static_cast<char>(i));
        put(file, segment.offset, content);
    }
    if (!notes.empty()) {
        headers.push_back({.p_type = PT_NOTE,
                           .p_flags = 4,
                           .p_offset = elf.notes_at,
                           .p_vaddr = 0,
                           .p_paddr = 0,
                           .p_filesz = notes.size(),
                           .p_memsz = notes.size(),
                           .p_align = 4});
        put(file, elf.notes_at, notes);
    }
    if (elf.interpreter)
        headers.push_back({.p_type = PT_INTERP,
                           .p_flags = 4,
                           .p_offset = 0,
                           .p_vaddr = 0,
                           .p_paddr = 0,
                           .p_filesz = 0,
                           .p_memsz = 0,
                           .p_align = 1});
    put(file, sizeof(Elf64_Ehdr), std::as_bytes(std::span{headers}));
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = elf.elf_class;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = elf.type;
    header.e_machine = elf.machine;
    header.e_entry = elf.entry;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = static_cast<Elf64_Half>(headers.size());
    if (elf.section_table) {
        header.e_shoff = file.size();
        header.e_shentsize = sizeof(Elf64_Shdr);
        header.e_shnum = 1;
        file.resize(file.size() + sizeof(Elf64_Shdr));
    }
    put_value(file, 0, header);
    return file;
}

ByteVector pack(Compression compression, std::span<const std::byte> bytes) {
    switch (compression) {
        case Compression::Gzip:
            return pack_gzip(bytes);
        case Compression::Zstd:
            return pack_zstd(bytes);
        case Compression::Xz:
            return pack_xz(bytes);
        case Compression::Lz4Legacy:
            return pack_lz4_legacy(bytes);
        case Compression::Lz4Frame:
            return pack_lz4_frame(bytes);
        default:
            return {bytes.begin(), bytes.end()};
    }
}

}  // namespace vmm::test
