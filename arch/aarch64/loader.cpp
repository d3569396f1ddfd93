// SPDX-License-Identifier: Apache-2.0
#include "aarch64/loader.hpp"

#include <algorithm>
#include <array>

#include "aarch64/layout.hpp"
#include "payload/host_span.hpp"
#include "payload/initramfs.hpp"
#include "payload/place_elf.hpp"
#include "payload/placement.hpp"
#include "vmm/size_text.hpp"
#include "vmm/text.hpp"

namespace vmm::aarch64 {
namespace {

constexpr std::uint64_t kTreeAlignment = 2 * kMiB;  // one mapping of the kernel has all of it

/// Where it is, and where it is entered.
struct Placed {
    GpaRange range;
    Gpa entry;
};

/// One load; keeps what the steps share.
class Load {
public:
    Load(const KernelFile& kernel, const LoadRequest& request, GuestMemory& memory)
        : kernel_{kernel},
          request_{request},
          memory_{memory},
          placement_{std::array{request.ram}} {}

    Result<Entry> run();

private:
    Result<Placed> place(const ImageHeader& header);
    Result<Placed> place(const ElfImage& elf);
    Result<> unpack_image(GpaRange to);
    Result<GpaRange> place_initramfs(Gpa from);
    Result<Gpa> place_tree(GpaRange initramfs, Gpa from);

    std::string ram_text() const { return size_text(request_.ram.size); }

    const KernelFile& kernel_;
    const LoadRequest& request_;
    GuestMemory& memory_;
    Placement placement_;
};

Error refusal(std::string what, std::string advice) {
    return Error{ErrorKind::Config, std::move(what)}.hint(std::move(advice));
}

Result<Placed> Load::place(const ImageHeader& header) {
    const Part& part = kernel_.kernel().part;
    const bool packed = part.compression != Compression::None;
    const std::uint64_t size = std::max(header.image_size, packed ? 0 : part.size);
    const std::uint64_t room = request_.ram.size;
    if (header.text_offset > room || size > room - header.text_offset)
        return std::unexpected(
            refusal(cat("the kernel needs ", size_text(size), " of memory from an offset of ",
                        Hex{header.text_offset}, " on, the guest has ", ram_text()),
                    "Give the guest more memory with --memory"));
    const GpaRange range{Gpa{request_.ram.first.value() + header.text_offset}, size};
    if (packed)
        VMM_TRY(unpack_image(range));
    else
        VMM_TRY(kernel_.file().read(part.offset, part.size, memory_, range.first));
    VMM_TRY(placement_.take(range, "kernel"));
    return Placed{.range = range, .entry = range.first};
}

Result<> Load::unpack_image(GpaRange to) {
    const Part& part = kernel_.kernel().part;
    const auto packed = VMM_TRY(kernel_.file().map(part.offset, part.size));
    // The decoder may want to write more than there is, to know that there is no more.
    const std::uint64_t room = end_of(request_.ram) - to.first.value();
    const auto bytes = host_span(memory_, to.first, std::min(room, to.size + kUnpackSlack));
    const auto got = VMM_TRY(unpack(part.compression, packed.bytes(), bytes));
    if (!got.finished || got.size > to.size)
        return std::unexpected(refusal(
            cat("it unpacks to more than the ", size_text(to.size), " that its header names"),
            "Copy or install the kernel again"));
    std::ranges::fill(bytes.subspan(got.size), std::byte{0});
    return {};
}

Result<Placed> Load::place(const ElfImage& elf) {
    VMM_TRY(take_segments(elf, placement_));
    VMM_TRY(check_entry(elf, Gpa{elf.entry}));
    const Part& part = kernel_.kernel().part;
    if (part.compression == Compression::None) {
        VMM_TRY(place_from_file(kernel_.file(), elf, memory_));
    } else {
        const auto mapping = VMM_TRY(kernel_.file().map(part.offset, part.size));
        const PackedElf packed{part.compression, mapping.bytes(), 0};
        VMM_TRY(place_packed({packed, elf, placement_, request_.ram.first}, memory_));
    }
    return Placed{.range = {Gpa{elf.lowest()}, elf.highest() - elf.lowest()},
                  .entry = Gpa{elf.entry}};
}

Result<GpaRange> Load::place_initramfs(Gpa from) {
    const std::uint64_t size = initramfs_size(request_.initramfs);
    if (size == 0)
        return GpaRange{};
    const auto at = placement_.lowest_free(size, Placement::kPageSize, from);
    if (!at)
        return std::unexpected(
            refusal(cat("initramfs ", initramfs_names(request_.initramfs), " (", size_text(size),
                        ") does not fit in memory of ", ram_text(), " beside the kernel"),
                    "Give the guest more memory with --memory, or a smaller initramfs"));
    const GpaRange range{*at, size};
    VMM_TRY(placement_.take(range, "initramfs"));
    VMM_TRY(read_initramfs(request_.initramfs, memory_, *at));
    return range;
}

Result<Gpa> Load::place_tree(GpaRange initramfs, Gpa from) {
    const auto tree = request_.make_tree(initramfs);
    const auto at = placement_.lowest_free(tree.size(), kTreeAlignment, from);
    if (!at || !memory_.copy_out(*at, tree))
        return std::unexpected(
            refusal(cat("the device tree (", size_text(tree.size()), ") does not fit in memory of ",
                        ram_text(), " beside the kernel"),
                    "Give the guest more memory with --memory"));
    return *at;
}

Result<Entry> Load::run() {
    const auto& [part, image, elf] = kernel_.kernel();
    const auto placed = VMM_TRY(image ? place(*image) : place(elf));
    const Gpa end{end_of(placed.range)};
    const auto initramfs = VMM_TRY(place_initramfs(end));
    const auto tree = VMM_TRY(place_tree(initramfs, end));
    return Entry{
        .cpu = {.pc = placed.entry, .x0 = tree.value()},
        .how = cat(kernel_.describe(), "; entry at ", placed.entry, ", device tree at ", tree)};
}

}  // namespace

Result<Entry> load(const KernelFile& kernel, const LoadRequest& request, GuestMemory& memory) {
    return VMM_TRY_OR(Load(kernel, request, memory).run(),
                      cat("load kernel ", kernel.file().path()));
}

}  // namespace vmm::aarch64
