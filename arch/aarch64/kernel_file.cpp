// SPDX-License-Identifier: Apache-2.0
#include "aarch64/kernel_file.hpp"

#include <elf.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "payload/identify.hpp"
#include "vmm/text.hpp"

namespace vmm::aarch64 {
namespace {

using ByteView = std::span<const std::byte>;

constexpr ElfTarget kElfTarget{
    .machine = EM_AARCH64,
    .name = "aarch64",
    .advice =
        "Give arch/arm64/boot/Image of a Linux build (Debian arm64: /boot/vmlinuz-*); an ELF file "
        "needs physical addresses, which a vmlinux has not"};

constexpr WantedKernel kWanted{
    .machine = kElfTarget.name,
    .formats = "neither an arm64 Linux Image nor ELF",
    .advice =
        "Give an arm64 kernel: arch/arm64/boot/Image of a Linux build (Debian arm64: "
        "/boot/vmlinuz-*), plain or compressed with gzip, zstd, xz or LZ4"};

constexpr std::uint64_t kPageSize = 4096;  // the smallest that the architecture has

Error bad(std::string what, std::string advice = "Copy or install the kernel again") {
    return Error{ErrorKind::Config, std::move(what)}.hint(std::move(advice));
}

Error truncated(std::string_view what, std::uint64_t needed, std::uint64_t size) {
    return bad(cat(what, " is truncated: it should have ", needed, " bytes and ends after ", size));
}

Result<> check(const ImageHeader& header) {
    if (header.is_big_endian())
        return std::unexpected(bad("a big-endian arm64 Image", "Give a little-endian kernel."));
    if (header.text_offset % kPageSize != 0)
        return std::unexpected(
            bad(cat("an arm64 Image with a text offset of ", Hex{header.text_offset},
                    ", which is no multiple of ", kPageSize, ": damaged")));
    return {};
}

/// `head` is the kernel's start, unpacked.
Result<Kernel> parse_kernel(ByteView head) {
    Kernel kernel;
    if (is_elf(head)) {
        kernel.elf = VMM_TRY(parse_elf(head, kElfTarget));
        return kernel;
    }
    kernel.image = parse_image(head);
    if (!kernel.image)
        return std::unexpected(explain_unusable(head, kWanted));
    VMM_TRY(check(*kernel.image));
    return kernel;
}

Result<Kernel> parse_packed(const BootFile& file, const Part& part) {
    const auto packed = VMM_TRY(file.map(part.offset, part.size));
    std::vector<std::byte> head(kElfHeadSize);
    const auto got = VMM_TRY(unpack(part.compression, packed.bytes(), head, head.size()));
    auto kernel = VMM_TRY(parse_kernel(ByteView{head}.first(std::min(got.size, head.size()))));
    if (kernel.image && kernel.image->image_size == 0)
        return std::unexpected(bad("an arm64 Image that does not say how large it is in memory",
                                   "Unpack it, or give a kernel of Linux 3.17 or newer."));
    return kernel;
}

Result<Kernel> parse_plain(const BootFile& file, ByteView head) {
    auto kernel = VMM_TRY(parse_kernel(head));
    const auto needed =
        kernel.image ? pe_file_end(*kernel.image, head).value_or(0) : kernel.elf.file_end();
    if (needed > file.size())
        return std::unexpected(truncated("a kernel that", needed, file.size()));
    return kernel;
}

/// The whole file, or what is packed in a zboot image.
Result<Part> find_part(const BootFile& file, ByteView head) {
    const auto zboot = parse_zboot(head);
    if (!zboot)
        return Part{.offset = 0, .size = file.size(), .compression = detect_compression(head)};
    if (zboot->size == 0 || zboot->offset + zboot->size > file.size())
        return std::unexpected(
            truncated("an EFI zboot image that", zboot->offset + zboot->size, file.size()));
    std::vector<std::byte> start(std::min<std::uint64_t>(zboot->size, 16));
    VMM_TRY(file.read(zboot->offset, start));
    const Part part{
        .offset = zboot->offset, .size = zboot->size, .compression = detect_compression(start)};
    if (!can_unpack(part.compression))
        return std::unexpected(
            bad(cat("an EFI zboot image whose kernel is packed with ",
                    part.compression == Compression::None ? "something unknown"
                                                          : name_of(part.compression)),
                std::string{kWanted.advice}));
    return part;
}

Result<Kernel> find_kernel(const BootFile& file) {
    std::vector<std::byte> head(std::min<std::uint64_t>(file.size(), kElfHeadSize));
    VMM_TRY(file.read(0, head));
    const Part part = VMM_TRY(find_part(file, head));
    auto kernel = can_unpack(part.compression)
                      ? VMM_TRY_OR(parse_packed(file, part),
                                   cat("compressed with ", name_of(part.compression), "; inside"))
                      : VMM_TRY(parse_plain(file, head));
    kernel.part = part;
    return kernel;
}

}  // namespace

Result<KernelFile> KernelFile::open(const std::string& path) {
    return identify(VMM_TRY(BootFile::open(path, "kernel")));
}

Result<KernelFile> KernelFile::identify(BootFile file) {
    auto kernel = VMM_TRY_OR(find_kernel(file), cat("kernel ", file.path()));
    return KernelFile{std::move(file), std::move(kernel)};
}

std::string KernelFile::describe() const {
    const auto& [part, image, elf] = kernel_;
    std::string text = image ? "arm64 Image" : "ELF";
    if (part.offset != 0)
        text += " in a zboot image";
    if (part.compression != Compression::None)
        text += cat(", compressed with ", name_of(part.compression));
    if (kernel_.page_size() != PageSize::Unsaid)
        text += cat(", pages of ", name_of(kernel_.page_size()));
    return text;
}

}  // namespace vmm::aarch64
