// SPDX-License-Identifier: Apache-2.0
#include "x86_64/boot_data.hpp"

#include <array>

#include "vmm/text.hpp"

namespace vmm::x86_64 {

Result<Gpa> BootData::reserve(std::uint64_t size, std::uint64_t alignment, std::string_view what) {
    const std::uint64_t at = (next_ + alignment - 1) / alignment * alignment;
    if (!kBootData.contains(Gpa{at}, size))
        return std::unexpected(Error{ErrorKind::Config, cat("the ", what, " of ", size,
                                                            " bytes is too long for the kernel")});
    next_ = at + size;
    return Gpa{at};
}

Result<> BootData::fill(Gpa at, std::span<const std::byte> bytes, std::string_view what) {
    if (!memory_.copy_out(at, bytes))
        return std::unexpected(
            Error{ErrorKind::Config, cat("no memory at ", at, " for the ", what)});
    return {};
}

Result<Gpa> BootData::put(std::span<const std::byte> bytes, std::uint64_t alignment,
                          std::string_view what) {
    const Gpa at = VMM_TRY(reserve(bytes.size(), alignment, what));
    VMM_TRY(fill(at, bytes, what));
    return at;
}

Result<Gpa> BootData::put_text(std::string_view text, std::string_view what) {
    const Gpa at = VMM_TRY(reserve(text.size() + 1, 1, what));
    VMM_TRY(fill(at, std::as_bytes(std::span{text}), what));
    return at;
}

Result<Gpa> BootData::put_page_tables() {
    constexpr std::uint64_t kPresentWritable = 0x3;
    constexpr std::uint64_t kLargePage = 0x80;
    constexpr std::size_t kDirectories = 4;  // 1 GiB each
    using Table = std::array<std::uint64_t, 512>;

    const Gpa top = VMM_TRY(reserve((2 + kDirectories) * kPageSize, kPageSize, "page tables"));
    const std::uint64_t pointers = top.value() + kPageSize;
    const std::array<std::uint64_t, 1> first{pointers | kPresentWritable};
    VMM_TRY(fill(top, std::as_bytes(std::span{first}), "page tables"));
    std::array<std::uint64_t, kDirectories> entries{};
    Table directory{};
    for (std::uint64_t i = 0; i < kDirectories; ++i) {
        const std::uint64_t at = pointers + (i + 1) * kPageSize;
        entries[i] = at | kPresentWritable;
        for (std::uint64_t page = 0; page < directory.size(); ++page)
            directory[page] = (i * kGiB + page * 2 * kMiB) | kPresentWritable | kLargePage;
        VMM_TRY(fill(Gpa{at}, std::as_bytes(std::span{directory}), "page tables"));
    }
    VMM_TRY(fill(Gpa{pointers}, std::as_bytes(std::span{entries}), "page tables"));
    return top;
}

}  // namespace vmm::x86_64
