// SPDX-License-Identifier: Apache-2.0
#include "x86_64/loader.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "payload/initramfs.hpp"
#include "payload/place_elf.hpp"
#include "vmm/command_line.hpp"
#include "vmm/log.hpp"
#include "vmm/size_text.hpp"
#include "vmm/text.hpp"
#include "x86_64/kaslr.hpp"
#include "x86_64/layout.hpp"
#include "x86_64/linux_boot.hpp"
#include "x86_64/pvh_boot.hpp"

namespace vmm::x86_64 {
namespace {

namespace bp = boot_params;

enum class Protocol : std::uint8_t { Linux64, Linux32, Pvh };

/// Nothing that a protocol of 64-bit addresses cannot name.
constexpr std::uint64_t kAnywhere = std::uint64_t{1} << 52;

/// One past the last byte that an initramfs may have.
struct InitramfsLimits {
    std::uint64_t preferred = std::uint64_t{bp::kUsualInitrdAddressMax} + 1;
    std::uint64_t most = kAnywhere;  ///< when there is no room below `preferred`
};

InitramfsLimits initramfs_limits(const BzImage& image) {
    const std::uint64_t said = std::uint64_t{image.initrd_address_max} + 1;
    return {.preferred = said, .most = image.initrd_anywhere ? kAnywhere : said};
}

/// A kernel that is in RAM.
struct Loaded {
    Protocol protocol = Protocol::Linux64;
    Gpa entry;
    Gpa load_address;
    const BzImage* header = nullptr;
    bool kaslr = false;
    std::uint32_t command_line_size = bp::kUsualCommandLineSize;
    InitramfsLimits initramfs;
    std::string how;
};

/// One load; keeps what the steps share.
class Load {
public:
    Load(const KernelFile& kernel, const LoadRequest& request, GuestMemory& memory)
        : kernel_{kernel},
          request_{request},
          memory_{memory},
          placement_{ram_ranges(request.ram_size).all()} {}

    Result<Entry> run();

private:
    Result<> reserve();
    Result<Loaded> place(const BzImage& image);
    Result<Loaded> place(const ElfKernel& elf);
    Result<Loaded> unpack_payload(const BzImage& image);
    Result<Loaded> place_plain(const BzImage& image);
    Result<Gpa> plain_address(const BzImage& image) const;
    Result<KernelNotes> place_segments(const ElfKernel& elf);
    std::optional<KaslrMove> random_move(const BzImage& image, const ElfImage& elf) const;
    Result<GpaRange> place_initramfs(const Loaded& loaded);
    Error initramfs_too_large(std::uint64_t size, std::uint64_t limit) const;
    Result<std::string> command_line(const Loaded& loaded) const;

    const KernelFile& kernel_;
    const LoadRequest& request_;
    GuestMemory& memory_;
    Placement placement_;
};

Result<> Load::reserve() {
    constexpr std::uint64_t kLeast = 2 * kMiB;
    if (request_.ram_size < kLeast)
        return std::unexpected(
            Error{ErrorKind::Config,
                  cat("memory of ", size_text(request_.ram_size), " is too small for any kernel")}
                .hint("Give the guest more memory with --memory"));
    VMM_TRY(placement_.take(kRealModeVectors, "interrupt vectors"));
    VMM_TRY(placement_.take(kBootData, "boot data"));
    VMM_TRY(placement_.take({Gpa{kEndOfLowMemory}, kAcpiTables.first.value() - kEndOfLowMemory},
                            "legacy video memory"));
    VMM_TRY(placement_.take(kAcpiTables, "ACPI tables"));
    for (const NamedRange& range : request_.reserved)
        VMM_TRY(placement_.take(range.range, range.name));
    return {};
}

// ---- bzImage -------------------------------------------------------------------------------

Result<Loaded> Load::place(const BzImage& image) {
    if (request_.unpack == PayloadUnpack::Off)
        return place_plain(image);
    const Placement before = placement_;
    auto unpacked = unpack_payload(image);
    if (unpacked || request_.unpack == PayloadUnpack::On)
        return unpacked;
    log::warn("the kernel unpacks itself, because it could not be done here: ",
              unpacked.error().one_line());
    placement_ = before;
    return place_plain(image);
}

/// What moves the kernel for KASLR, if there is to be any.
std::optional<KaslrMove> Load::random_move(const BzImage& image, const ElfImage& elf) const {
    if (!request_.kaslr || request_.entropy == nullptr ||
        has_word(request_.command_line, "nokaslr"))
        return std::nullopt;
    std::uint64_t random = 0;
    request_.entropy->fill(std::as_writable_bytes(std::span{&random, 1}));
    return KaslrMove{
        kaslr_delta(random, elf.lowest(), elf.highest() - elf.lowest(), image.alignment)};
}

Result<Loaded> Load::unpack_payload(const BzImage& image) {
    if (image.payload_size == 0 || !can_unpack(image.compression) || !image.entry64)
        return std::unexpected(Error{
            ErrorKind::Config, cat("the kernel's payload cannot be unpacked here (",
                                   image.entry64 ? name_of(image.compression) : "32-bit", ")")});
    const auto mapping = VMM_TRY(kernel_.file().map(image.payload_offset, image.payload_size));
    const PackedElf packed{
        // Linux's build appends the unpacked size to every format but gzip, which has it anyway.
        image.compression,
        mapping.bytes().first(image.payload_size -
                              (image.compression == Compression::Gzip ? 0 : 4)),
        image.unpacked_size};
    const auto elf = VMM_TRY_OR(peek_elf(packed, kElfTarget), "the kernel's payload");
    VMM_TRY(take_segments(elf, placement_));
    const auto move = random_move(image, elf);
    const PlacePacked what{packed, elf, placement_, Gpa{kStartOfHighMemory},
                           move ? &*move : nullptr};
    const auto placed = VMM_TRY_OR(place_packed(what, memory_), "the kernel's payload");
    return Loaded{.entry = Gpa{elf.entry},
                  .load_address = Gpa{elf.lowest()},
                  .header = &image,
                  .kaslr = placed.relocated,
                  .command_line_size = image.command_line_size,
                  .initramfs = initramfs_limits(image),
                  .how = cat("unpacked here, 64-bit boot protocol",
                             placed.relocated ? ", virtual KASLR" : ", no KASLR")};
}

Result<Gpa> Load::plain_address(const BzImage& image) const {
    const Gpa preferred{image.preferred};
    if (placement_.is_free({preferred, image.init_size}))
        return preferred;
    const auto lowest = image.relocatable ? placement_.lowest_free(image.init_size, image.alignment,
                                                                   Gpa{kStartOfHighMemory})
                                          : std::nullopt;
    if (lowest)
        return *lowest;
    return std::unexpected(Error{
        ErrorKind::Config, cat("the kernel needs ", size_text(image.init_size), " at ", preferred,
                               " and does not fit in memory of ", size_text(request_.ram_size))}
                               .hint("Give the guest more memory with --memory"));
}

Result<Loaded> Load::place_plain(const BzImage& image) {
    constexpr std::uint64_t kEntry64 = 0x200;
    const Gpa at = VMM_TRY(plain_address(image));
    VMM_TRY(placement_.take({at, image.init_size}, "kernel"));
    VMM_TRY(kernel_.file().read(image.code_offset, image.code_size, memory_, at));
    return Loaded{
        .protocol = image.entry64 ? Protocol::Linux64 : Protocol::Linux32,
        .entry = image.entry64 ? Gpa{at.value() + kEntry64} : at,
        .load_address = at,
        .header = &image,
        .command_line_size = image.command_line_size,
        .initramfs = initramfs_limits(image),
        .how = cat("unpacks itself, ", image.entry64 ? "64" : "32", "-bit boot protocol")};
}

// ---- ELF -----------------------------------------------------------------------------------

Result<KernelNotes> Load::place_segments(const ElfKernel& elf) {
    if (elf.compression == Compression::None) {
        VMM_TRY(place_from_file(kernel_.file(), elf.image, memory_));
        return elf.notes;
    }
    const auto mapping = VMM_TRY(kernel_.file().map(0, kernel_.file().size()));
    const PackedElf packed{elf.compression, mapping.bytes(), 0};
    const auto placed =
        VMM_TRY(place_packed({packed, elf.image, placement_, Gpa{kStartOfHighMemory}}, memory_));
    return placed.notes;
}

Result<Loaded> Load::place(const ElfKernel& elf) {
    // Nobody limits a kernel that is not Linux, but it has to lie somewhere.
    constexpr std::uint32_t kOthersCommandLine = 65'535;
    VMM_TRY(take_segments(elf.image, placement_));
    const KernelNotes notes = VMM_TRY(place_segments(elf));
    const Gpa entry{notes.pvh_entry ? *notes.pvh_entry : elf.image.entry};
    VMM_TRY(check_entry(elf.image, entry));
    const bool is_linux = notes.is_linux || !notes.pvh_entry;
    return Loaded{.protocol = notes.pvh_entry ? Protocol::Pvh : Protocol::Linux64,
                  .entry = entry,
                  .load_address = Gpa{elf.image.lowest()},
                  .command_line_size = is_linux ? bp::kUsualCommandLineSize : kOthersCommandLine,
                  // PVH's list of modules has 64 bits, of which Linux takes the lower 32.
                  .initramfs = {.most = notes.pvh_entry ? kHighRam.value() : kAnywhere},
                  .how = notes.pvh_entry ? "PVH" : "64-bit boot protocol, no KASLR"};
}

// ---- initramfs -----------------------------------------------------------------------------

Error Load::initramfs_too_large(std::uint64_t size, std::uint64_t limit) const {
    const auto names = initramfs_names(request_.initramfs);
    if (limit != kAnywhere && placement_.highest_free(size, kAnywhere))
        return Error{ErrorKind::Config,
                     cat("initramfs ", names, " (", size_text(size), ") does not fit below ",
                         size_text(std::min(limit, placement_.first_end())),
                         ", where this kernel has to find it")}
            .hint(
                "Give a smaller initramfs, or a 64-bit bzImage of Linux 3.8 or newer, which "
                "takes one of any size.");
    return Error{ErrorKind::Config,
                 cat("initramfs ", names, " (", size_text(size), ") does not fit in memory of ",
                     size_text(request_.ram_size), " beside the kernel")}
        .hint("Give the guest more memory with --memory, or a smaller initramfs");
}

Result<GpaRange> Load::place_initramfs(const Loaded& loaded) {
    const std::uint64_t size = initramfs_size(request_.initramfs);
    if (size == 0)
        return GpaRange{};
    const auto& limits = loaded.initramfs;
    auto at = placement_.highest_free(size, limits.preferred);
    if (!at || *at < Gpa{kStartOfHighMemory})
        at = placement_.highest_free(size, limits.most);
    if (!at || *at < Gpa{kStartOfHighMemory})
        return std::unexpected(initramfs_too_large(size, limits.most));
    VMM_TRY(placement_.take({*at, size}, "initramfs"));
    VMM_TRY(read_initramfs(request_.initramfs, memory_, *at));
    return GpaRange{*at, size};
}

// ---- all together --------------------------------------------------------------------------

Result<std::string> Load::command_line(const Loaded& loaded) const {
    std::string text{request_.command_line};
    if (text.find('\0') != std::string::npos)
        return std::unexpected(Error{ErrorKind::Config, "the command line has a zero byte in it"});
    if (text.size() > loaded.command_line_size)
        return std::unexpected(Error{
            ErrorKind::Config, cat("the command line has ", text.size(),
                                   " characters; this kernel takes ", loaded.command_line_size)}
                                   .hint("Shorten --cmd-line"));
    return text;
}

Result<CpuStart> write_boot_data(const Loaded& loaded, const Handover& handover,
                                 GuestMemory& memory) {
    if (loaded.protocol == Protocol::Pvh)
        return write_pvh_boot(handover, memory);
    const LinuxStart start{
        .header = loaded.header,
        .entry = loaded.protocol == Protocol::Linux64 ? LinuxEntry::Bits64 : LinuxEntry::Bits32,
        .load_address = loaded.load_address,
        .kaslr = loaded.kaslr};
    return write_linux_boot(start, handover, memory);
}

Result<Entry> Load::run() {
    VMM_TRY(reserve());
    const Loaded loaded = VMM_TRY(
        std::visit([this](const auto& content) { return place(content); }, kernel_.content()));
    auto text = VMM_TRY(command_line(loaded));
    const GpaRange initramfs = VMM_TRY(place_initramfs(loaded));
    const Handover handover{.ram_size = request_.ram_size,
                            .command_line = text,
                            .initramfs = initramfs,
                            .rsdp = request_.rsdp,
                            .entry = loaded.entry,
                            .entropy = request_.entropy};
    const auto cpu = VMM_TRY(write_boot_data(loaded, handover, memory_));
    return Entry{.registers = cpu.registers,
                 .system = cpu.system,
                 .command_line = std::move(text),
                 .how = cat(kernel_.describe(), "; ", loaded.how, ", entry at ", loaded.entry)};
}

}  // namespace

Result<Entry> load(const KernelFile& kernel, const LoadRequest& request, GuestMemory& memory) {
    return VMM_TRY_OR(Load(kernel, request, memory).run(),
                      cat("load kernel ", kernel.file().path()));
}

}  // namespace vmm::x86_64
