// SPDX-License-Identifier: Apache-2.0
#include "x86_64/kernel_file.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "payload/identify.hpp"
#include "vmm/printable.hpp"
#include "vmm/text.hpp"
#include "x86_64/layout.hpp"

namespace vmm::x86_64 {
namespace {

namespace bp = boot_params;
using ByteView = std::span<const std::byte>;
using Content = std::variant<BzImage, ElfKernel>;

constexpr WantedKernel kWanted{
    .machine = kElfTarget.name,
    .formats = "neither bzImage nor ELF",
    .advice =
        "Give an x86-64 kernel: a bzImage (Debian: /boot/vmlinuz-*), an ELF vmlinux, or one of "
        "these compressed with gzip, zstd, xz or LZ4"};

constexpr std::string_view kTruncatedAdvice = "Copy or install the kernel again";

Error truncated(std::string_view what, std::uint64_t needed, std::uint64_t size) {
    return Error{ErrorKind::Config, cat(what, " is truncated: it should have ", needed,
                                        " bytes and ends after ", size)}
        .hint(std::string{kTruncatedAdvice});
}

/// `at` lies within the smallest header; checked by the caller.
template <class T>
T field(ByteView head, std::size_t at) {
    T value;
    std::memcpy(&value, head.data() + at, sizeof value);
    return value;
}

bool is_bzimage(ByteView head) {
    return head.size() >= bp::kMagic + 4 &&
           field<std::uint16_t>(head, bp::kBootFlag) == bp::kBootFlagValue &&
           field<std::uint32_t>(head, bp::kMagic) == bp::kMagicValue;
}

// ---- bzImage -------------------------------------------------------------------------------

/// The first word of the version text; it lies somewhere in the real-mode code.
Result<std::string> version_text(const BootFile& file, ByteView head, const BzImage& image) {
    std::array<std::byte, 64> bytes{};
    const std::uint64_t at = field<std::uint16_t>(head, bp::kKernelVersion) + std::uint64_t{0x200};
    std::string text;
    if (at == 0x200 || at + bytes.size() > image.code_offset)
        return text;
    VMM_TRY(file.read(at, bytes));
    for (const std::byte byte : bytes) {
        const char c = std::to_integer<char>(byte);
        if (c == ' ' || !is_printable(c))  // it goes into messages
            break;
        text += c;
    }
    return text;
}

/// Where the compressed ELF is. None is not an error: the kernel then unpacks itself.
Result<> find_payload(const BootFile& file, ByteView head, BzImage& image) {
    const std::uint64_t offset = field<std::uint32_t>(head, bp::kPayloadOffset);
    const std::uint64_t size = field<std::uint32_t>(head, bp::kPayloadLength);
    constexpr std::uint64_t kSmallest = 16;
    if (size < kSmallest || offset > image.code_size || size > image.code_size - offset)
        return {};
    std::array<std::byte, 8> magic{};
    std::uint32_t unpacked = 0;
    const std::uint64_t at = image.code_offset + offset;
    VMM_TRY(file.read(at, magic));
    VMM_TRY(
        file.read(at + size - sizeof unpacked, std::as_writable_bytes(std::span{&unpacked, 1})));
    image.compression = detect_compression(magic);
    image.payload_offset = at;
    image.payload_size = size;
    image.unpacked_size = unpacked;
    return {};
}

Result<> read_placement(ByteView head, BzImage& image) {
    image.relocatable = field<std::uint8_t>(head, bp::kRelocatable) != 0;
    const auto flags =
        image.protocol >= 0x20c ? field<std::uint16_t>(head, bp::kXLoadFlags) : std::uint16_t{0};
    image.entry64 = (flags & bp::kXLoadFlagKernel64) != 0;
    image.initrd_anywhere = image.entry64 && (flags & bp::kXLoadFlagAbove4G) != 0;
    image.init_size =
        std::max<std::uint64_t>(field<std::uint32_t>(head, bp::kInitSize), image.code_size);
    image.preferred = field<std::uint64_t>(head, bp::kPreferredAddress);
    image.alignment = field<std::uint32_t>(head, bp::kKernelAlignment);
    image.command_line_size = field<std::uint32_t>(head, bp::kCommandLineSize);
    image.initrd_address_max = field<std::uint32_t>(head, bp::kInitrdAddressMax);
    if (!std::has_single_bit(image.alignment) || image.alignment < kPageSize)
        return std::unexpected(
            Error{ErrorKind::Config, cat("a bzImage with a load alignment of ", image.alignment,
                                         " bytes, which is not a power of two: damaged")});
    if (image.preferred % kPageSize != 0 || image.preferred < kMiB ||
        image.preferred >= kHighRam.value())
        return std::unexpected(
            Error{ErrorKind::Config, cat("a bzImage that wants to be at ", Hex{image.preferred},
                                         ", where no kernel can be: damaged")});
    return {};
}

Result<Content> parse_bzimage(const BootFile& file, ByteView head) {
    if (head.size() < bp::kHeaderEndMost)
        return std::unexpected(truncated("a bzImage that", bp::kHeaderEndMost, file.size()));
    BzImage image;
    image.protocol = field<std::uint16_t>(head, bp::kVersion);
    if ((field<std::uint8_t>(head, bp::kLoadFlags) & bp::kLoadFlagHigh) == 0)
        return std::unexpected(
            Error{ErrorKind::Config, "a zImage, older than what can be booted here"}.hint(
                "Use a bzImage of Linux 2.6.31 or newer"));
    if (image.protocol < 0x20a)
        return std::unexpected(
            Error{ErrorKind::Config, cat("a bzImage of boot protocol ", image.protocol >> 8, ".",
                                         image.protocol & 0xff, "; 2.10 or newer is needed")}
                .hint("Use Linux 2.6.31 or newer"));
    const std::size_t sectors = field<std::uint8_t>(head, bp::kSetupSects);
    image.code_offset = ((sectors == 0 ? 4 : sectors) + 1) * 512;
    image.code_size = std::uint64_t{field<std::uint32_t>(head, bp::kSystemSize)} * 16;
    if (image.code_size == 0)
        return std::unexpected(Error{ErrorKind::Config, "a bzImage without code: damaged"});
    if (image.code_offset + image.code_size > file.size())
        return std::unexpected(
            truncated("a bzImage that", image.code_offset + image.code_size, file.size()));
    image.header_size = std::min<std::size_t>(bp::kMagic + field<std::uint8_t>(head, bp::kJump + 1),
                                              bp::kHeaderEndMost) -
                        bp::kHeader;
    std::memcpy(image.header.data(), head.data() + bp::kHeader, image.header_size);
    VMM_TRY(read_placement(head, image));
    VMM_TRY(find_payload(file, head, image));
    image.version = VMM_TRY(version_text(file, head, image));
    return Content{std::move(image)};
}

// ---- ELF -----------------------------------------------------------------------------------

Result<> read_notes(const BootFile& file, ElfKernel& kernel) {
    constexpr std::uint64_t kMostNotes = 64 * kKiB;
    for (const ElfNotes& range : kernel.image.notes) {
        std::vector<std::byte> bytes(std::min(range.size, kMostNotes));
        VMM_TRY(file.read(range.offset, bytes));
        read_notes(bytes, kernel.notes);
    }
    return {};
}

Result<Content> parse_elf_kernel(const BootFile& file, ByteView head) {
    ElfKernel kernel;
    kernel.image = VMM_TRY(parse_elf(head, kElfTarget));
    if (kernel.image.file_end() > file.size())
        return std::unexpected(
            truncated("an ELF kernel that", kernel.image.file_end(), file.size()));
    VMM_TRY(read_notes(file, kernel));
    return Content{std::move(kernel)};
}

// ---- compressed as a whole -----------------------------------------------------------------

/// Unpacks a bzImage that somebody compressed once more into a file in memory: rare, so simple.
Result<BootFile> unpack_to_memory(const std::string& path, Compression compression,
                                  ByteView packed) {
    constexpr std::size_t kMost = std::size_t{256} << 20;
    UniqueFd fd{::memfd_create("kernel", MFD_CLOEXEC)};
    if (!fd || ::ftruncate(fd.get(), kMost) != 0)
        return std::unexpected(Error::os("memfd_create", errno).context("unpack the kernel"));
    void* const base = ::mmap(nullptr, kMost, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (base == MAP_FAILED)
        return std::unexpected(Error::os("mmap", errno).context("unpack the kernel"));
    const FileMapping mapping{base, kMost, {}};
    const auto got = VMM_TRY(unpack(compression, packed, {static_cast<std::byte*>(base), kMost}));
    if (!got.finished)
        return std::unexpected(Error{ErrorKind::Config, "unpacks to more than 256 MiB"});
    if (::ftruncate(fd.get(), static_cast<off_t>(got.size)) != 0)
        return std::unexpected(Error::os("ftruncate", errno).context("unpack the kernel"));
    return BootFile{std::move(fd), got.size, path};
}

std::string packed_as(Compression compression) {
    return cat("compressed with ", name_of(compression), "; inside");
}

/// `file` becomes the unpacked one when that is a bzImage.
Result<Content> identify_packed(BootFile& file, Compression compression) {
    const auto packed = VMM_TRY(file.map(0, file.size()));
    const std::unique_ptr<std::byte[]> buffer{new std::byte[kElfHeadSize]{}};
    const auto got = VMM_TRY(unpack(compression, packed.bytes(), {buffer.get(), kElfHeadSize}));
    const ByteView head{buffer.get(), got.size};
    if (is_elf(head)) {
        ElfKernel kernel{.compression = compression, .image = {}, .notes = {}};
        kernel.image = VMM_TRY(parse_elf(head, kElfTarget));
        return Content{std::move(kernel)};
    }
    if (!is_bzimage(head))
        return std::unexpected(explain_unusable(head, kWanted));
    auto unpacked = VMM_TRY(unpack_to_memory(file.path(), compression, packed.bytes()));
    auto content = VMM_TRY(parse_bzimage(unpacked, head));
    file = std::move(unpacked);
    return content;
}

Result<Content> identify_content(BootFile& file) {
    std::vector<std::byte> buffer(std::min<std::uint64_t>(file.size(), kElfHeadSize));
    VMM_TRY(file.read(0, buffer));
    const ByteView head{buffer};
    const Compression compression = detect_compression(head);
    if (can_unpack(compression))
        return VMM_TRY_OR(identify_packed(file, compression), packed_as(compression));
    if (is_elf(head))
        return parse_elf_kernel(file, head);
    if (is_bzimage(head))
        return parse_bzimage(file, head);
    return std::unexpected(explain_unusable(head, kWanted));
}

}  // namespace

Result<KernelFile> KernelFile::open(const std::string& path) {
    auto file = VMM_TRY(BootFile::open(path, "kernel"));
    return identify(std::move(file));
}

Result<KernelFile> KernelFile::identify(BootFile file) {
    auto content = VMM_TRY_OR(identify_content(file), cat("kernel ", file.path()));
    return KernelFile{std::move(file), std::move(content)};
}

std::string KernelFile::describe() const {
    if (const auto* bz = std::get_if<BzImage>(&content_)) {
        const auto payload = bz->compression == Compression::None
                                 ? std::string{"unknown"}
                                 : std::string{name_of(bz->compression)};
        return cat("bzImage ", bz->version.empty() ? "of unknown version" : bz->version,
                   ", boot protocol ", bz->protocol >> 8, ".", bz->protocol & 0xff, ", ", payload,
                   " payload");
    }
    const auto& elf = std::get<ElfKernel>(content_);
    if (elf.compression != Compression::None)
        return cat("ELF compressed with ", name_of(elf.compression));
    return elf.notes.pvh_entry ? "ELF with PVH note" : "ELF without PVH note";
}

}  // namespace vmm::x86_64
